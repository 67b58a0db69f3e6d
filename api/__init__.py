"""The two HTTP applications, both thin: queries read, the intake is the only writer's door."""

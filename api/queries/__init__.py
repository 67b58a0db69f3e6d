"""The query application: thin routes over the read models. It writes nothing."""

#!/bin/sh
# Makes what deploy/compose.yaml mounts as secrets, where it is missing; never writes over anything: secrets.sh [FOLDER]
# The folder is its owner's alone. The files in it may be read by all, since the user in a container is none of this machine's.
set -eu
folder=${1:-$(dirname "$0")/secrets}

random() {
    head -c 32 /dev/urandom | od -An -vtx1 | tr -d ' \n'
}

# One file from standard input, whole or not at all
put() {
    [ -e "$folder/$1" ] || { cat >"$folder/.$1" && [ -s "$folder/.$1" ] && chmod 644 "$folder/.$1" && mv "$folder/.$1" "$folder/$1"; }
}

command -v openssl >/dev/null 2>&1 || { echo "hotline: openssl is needed to make the pair of keys for tokens" >&2; exit 1; }
mkdir -p "$folder"
chmod 700 "$folder"
random | put postgres.password
password=$(cat "$folder/postgres.password")
put settings.toml <<END
database_url = "postgresql://postgres:$password@postgres:5432/hotline?connect_timeout=3"
vault_url = "postgresql://postgres:$password@postgres:5432/vault?connect_timeout=3"
END
put registry.properties <<END
apicurio.datasource.password=$password
END
{ random; echo; } | put master.key
openssl genpkey -algorithm ed25519 2>/dev/null | put token.key
openssl pkey -in "$folder/token.key" -pubout | put token.pub
echo "hotline: secrets are in $folder; keep master.key apart from every backup of the database, without it nothing sealed is ever opened"

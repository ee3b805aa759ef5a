ARG BASE
FROM ${BASE}
RUN <<EOF
echo one >/one
echo "$0" >/zero
EOF
RUN <<-EOF
	echo tabs >/tabs
	EOF
RUN cat <<EOF >/cat
quoted $HOME
EOF
RUN cat <<'EOF' >/literal
literal $HOME
EOF
RUN <<EOF
#!/bin/sh
echo script >/script
EOF
RUN cat <<A <<B >/both
from a
A
from b
B

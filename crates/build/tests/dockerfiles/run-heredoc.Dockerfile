ARG BASE
FROM ${BASE}
RUN <<EOF
echo one >/one
  echo two >/two
EOF
RUN <<-EOF
	echo three >/three
	EOF
RUN <<'SCRIPT'
#!/bin/sh
echo "$0" >/script
SCRIPT
RUN cat <<A >/a && cat <<B >/b
text a
A
text b
B

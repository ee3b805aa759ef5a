ARG BASE
FROM ${BASE}
ARG NAME=world
COPY <<EOF /hello
hello $NAME
EOF
COPY <<"EOF" /raw
hello $NAME
EOF
COPY <<-one <<-two /folder/
	first
	one
	second
	two
COPY --chmod=700 --chown=1:2 <<EOF /script
#!/bin/sh
EOF

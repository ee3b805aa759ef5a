ARG BASE
FROM ${BASE}
ARG WHO=world
COPY <<EOF /greeting
hello $WHO
it's "quoted" \$WHO
EOF
COPY <<"EOF" /raw
hello $WHO
EOF
COPY <<-EOF /tabs
	one
		two
	EOF
COPY --chmod=755 <<one.sh <<two.txt a /files/
#!/bin/sh
echo one
one.sh
two
two.txt
ADD <<EOF /added
added
EOF

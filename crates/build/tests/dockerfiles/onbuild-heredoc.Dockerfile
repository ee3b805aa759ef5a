ARG BASE
FROM ${BASE} AS parent
ONBUILD RUN <<EOF
echo one >/one
echo two >/two
EOF
FROM parent
CMD ["cat", "/one"]

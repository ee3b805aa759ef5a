ARG BASE
FROM ${BASE}
ENV abc=hello
ENV abc=bye def=$abc
ENV ghi=$abc
ENV single='$abc' double="$abc" escaped=\$abc
ENV path=$PATH:/extra

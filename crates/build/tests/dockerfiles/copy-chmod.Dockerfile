ARG BASE
FROM ${BASE}
COPY --chmod=0755 a /octal
COPY --chmod=u+x,g-w,o= a /symbolic
COPY --chmod=a=rX d /dir
ADD --chmod=600 b /b

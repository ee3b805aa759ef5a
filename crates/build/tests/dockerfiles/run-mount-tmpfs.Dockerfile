ARG BASE
FROM ${BASE}
RUN --mount=type=tmpfs,target=/t touch /t/x
RUN --mount=type=tmpfs,target=/u,size=64m --mount=type=tmpfs,target=/v true

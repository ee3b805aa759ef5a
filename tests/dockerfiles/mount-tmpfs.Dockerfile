ARG BASE
FROM ${BASE}
RUN --mount=type=tmpfs,target=/t,size=1m echo x >/t/x && mount | grep -c ' /t ' >/count

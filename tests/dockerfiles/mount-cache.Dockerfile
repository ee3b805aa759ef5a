ARG BASE
FROM ${BASE}
RUN --mount=type=cache,target=/cache,id=differential,sharing=locked,mode=0700,uid=3,gid=4 stat -c '%u:%g %a' /cache >/stat
RUN --mount=type=cache,target=/cache,id=differential echo x >/cache/f

ARG BASE
FROM ${BASE}
RUN --mount=type=secret,id=tok cat /run/secrets/tok >/one
RUN --mount=type=secret,id=tok,target=/s,mode=0444,uid=2,gid=3 stat -c '%a %u:%g' /s >/stat
RUN --mount=type=secret,id=tok,env=TOKEN echo "$TOKEN" >/env
RUN --mount=type=secret,id=missing ls /run/secrets >/none 2>&1 || true

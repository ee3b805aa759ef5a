ARG BASE
FROM ${BASE} AS seed
RUN mkdir /seed
FROM ${BASE}
ARG ID=named
RUN --mount=type=cache,target=/c1 echo 1 >/c1/x
RUN --mount=type=cache,id=$ID,target=/c2,sharing=locked,mode=0700,uid=1000,gid=50 true
RUN --mount=type=cache,target=/c3,sharing=private,from=seed,source=/seed,ro true

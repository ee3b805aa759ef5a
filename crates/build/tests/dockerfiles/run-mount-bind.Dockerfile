ARG BASE
FROM ${BASE} AS tools
RUN echo tool >/tool
FROM ${BASE}
RUN --mount=target=/ctx cat /ctx/a >/a
RUN --mount=type=bind,source=d,target=/d,rw touch /d/new
RUN --mount=type=bind,from=tools,src=/tool,dst=/mnt/tool cat /mnt/tool
WORKDIR /w
RUN --mount=type=bind,source=a,destination=rel,readonly cat rel

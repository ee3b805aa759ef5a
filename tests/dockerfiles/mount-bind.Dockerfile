ARG BASE
FROM ${BASE} AS tools
RUN echo tool >/tool
FROM ${BASE}
RUN --mount=type=bind,target=/ctx ls /ctx/src >/list
RUN --mount=target=/ctx,source=src cat /ctx/a.txt >/a
RUN --mount=from=tools,source=/tool,target=/t cat /t >/tool2
RUN --mount=type=bind,target=/ctx,rw echo dropped >/ctx/new && cat /ctx/new >/seen
WORKDIR /w
RUN --mount=type=bind,source=app.py,target=app.py cat app.py >out

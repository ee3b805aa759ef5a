ARG BASE
FROM ${BASE}
COPY ["a", "name with space"]
COPY ["a", "b", "/with space/"]
ADD ["d", "/d space"]

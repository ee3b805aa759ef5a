# check=skip=MaintainerDeprecated,StageNameCasing
ARG BASE
FROM ${BASE} AS Final
MAINTAINER somebody
CMD ["true"]

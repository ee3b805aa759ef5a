ARG BASE
FROM ${BASE}
CMD echo "$HOME"   and  'more'

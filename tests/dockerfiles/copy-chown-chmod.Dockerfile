ARG BASE
FROM ${BASE}
COPY --chown=5 app.py /uid
COPY --chown=5:6 app.py /both
COPY --chown=app app.py /name
COPY --chown=root:app app.py /group
COPY --chown=7:8 src /dir
COPY --chmod=600 app.py /mode
COPY --chmod=0755 src /modes
COPY --chmod=u=rwX,go=rX src /symbolic
COPY --chmod=4711 app.py /suid
COPY --chown=9:9 --chmod=644 app.py /new/parents/f

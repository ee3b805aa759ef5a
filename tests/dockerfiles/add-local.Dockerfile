ARG BASE
FROM ${BASE}
ADD app.py /a
ADD src /src
ADD plain.tar /plain/
ADD archive.tgz /tgz
ADD archive.tbz /tbz/
ADD notreally.tar /not/
ADD --chown=11:12 archive.tgz /owned/

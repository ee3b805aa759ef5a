ARG BASE
FROM ${BASE}
COPY app.py /a
COPY app.py /dir/
COPY app.py /new/path/b
COPY app.py requirements.txt /several/
COPY ["a file.txt", "/with space/"]
COPY entrypoint.sh /entry

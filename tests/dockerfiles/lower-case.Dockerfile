arg BASE
from ${BASE} as x
run echo hi >/hi
copy app.py /a
env X=y

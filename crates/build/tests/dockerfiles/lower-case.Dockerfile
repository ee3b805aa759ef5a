arg BASE
from ${BASE} as build
run echo lower >/lower
from ${BASE}
copy --from=build /lower /
cmd ["cat", "/lower"]

#!/bin/sh
# floors.sh NM ARCHIVE SOURCE...: fails if an object of the archive uses a function or an object of a
# source that is listed after its own. So each source needs only those below it, and none go in circles.
set -eu
nm=$1 archive=$2
shift 2

"$nm" -g -P "$archive" | awk -v sources="$*" '
    BEGIN { count = split(sources, names, " "); for (i = 1; i <= count; i++) floor[names[i] ".o"] = i }
    /\]:$/ {
        object = $0
        sub(/^.*\[/, "", object)
        sub(/\]:$/, "", object)
        if (!(object in floor)) { print object " is of no source that is listed"; bad = 1 }
        objects++
        next
    }
    $2 == "U" || $2 == "w" { uses[object, $1]; next }
    { home[$1] = object }
    END {
        for (use in uses) {
            split(use, part, SUBSEP)
            user = part[1]; name = part[2]
            if (name in home && floor[home[name]] > floor[user]) {
                print user " uses " name " of " home[name] ", which is listed after it"
                bad = 1
            }
        }
        if (objects != count) { print objects " objects, but " count " sources"; bad = 1 }
        exit bad
    }'

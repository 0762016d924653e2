# shellcheck shell=sh
# Everything but files that the role compares, in one command that writes nothing; the filter wordpress_state reads it.
# Lists come in the environment, one name a line.
set -euf
IFS='
'

echo '== packages'
set --
for name in $PACKAGES; do set -- "$@" "$name"; done
dpkg-query --show --showformat='${db:Status-Status} ${Package}\n' "$@" || [ $? -eq 1 ]

echo '== units'
set --
for name in $UNITS; do set -- "$@" "$name"; done
systemctl show --property=Id,ActiveState,UnitFileState -- "$@"

echo '== users'
set --
for name in $USERS; do set -- "$@" "$name"; done
getent passwd "$@" || [ $? -eq 2 ]

# What serves sites, declared or not. A folder that no package has made yet holds nothing.
echo '== served'
set --
for name in $SERVICES; do set -- "$@" "$name"; done
find "$@" -mindepth 1 -maxdepth 1 '(' -name default -o -name www.conf -o -name 'wordpress-*.conf' \
    -o -name 'wordpress-cron@*.timer' -o -name 'wordpress-redis@*.service' -o -name 'wordpress-memcached@*.service' ')' \
    2> /dev/null || :

echo '== present'
for path in $PATHS; do
    [ ! -e "$path" ] || echo "$path"
done

# The public half of each key alone; and what is no key or certificate says nothing, and is made again.
for path in $SIGNED; do
    echo "== key $path.key"
    openssl pkey -in "$path.key" -passin pass: -pubout < /dev/null 2> /dev/null || :
    echo "== certificate $path.pem"
    openssl x509 -in "$path.pem" 2> /dev/null || :
    echo "== chain $path.pem"
    echo "$AUTHORITY" | openssl verify -partial_chain -no_check_time -no-CApath -no-CAstore -CAfile /dev/stdin "$path.pem" 2> /dev/null || :
done

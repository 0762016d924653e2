#!/bin/bash
# Copyright: Contributors to cnosf.infogerance
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# Says in one line each what the server's own programs know of the variables that the scenario set.
set -euo pipefail
sql() { mariadb --batch --skip-column-names --execute "$1"; }
echo "port $(ss --no-header --listening --tcp --numeric | awk '{print $4}' | grep -Ev '^127[.]0[.]0[.]5[34]|:5355$' | sed 's/.*://' | sort -un | xargs)"
echo "v6 $(ss --no-header --listening --tcp --numeric --ipv6 'sport = :443' | wc -l)"
echo "pool $(sql 'SELECT @@innodb_buffer_pool_size DIV 1048576') $(sql 'SELECT @@max_connections') $(sql 'SELECT @@long_query_time') $(sql 'SELECT @@expire_logs_days') $(sql 'SELECT @@skip_networking')"
echo "ddl $(sql "SHOW GRANTS FOR wp_agenda@localhost" | grep -c CREATE) $(sql "SHOW GRANTS FOR wp_intranet@localhost" | grep -c CREATE || true)"
echo "options $(sql "SELECT option_value FROM wpmembres.wp_options WHERE option_name = 'timezone_string'") $(sql "SELECT option_value FROM wpmembres.wp_options WHERE option_name = 'blog_public'")"
echo "plugins $(sql "SELECT option_value FROM wpmembres.wp_options WHERE option_name = 'active_plugins'")"
echo "roles $(sql "SELECT meta_value FROM wpmembres.wp_users u JOIN wpmembres.wp_usermeta m ON m.user_id = u.ID WHERE u.user_login = 'redaction' AND meta_key = 'wp_capabilities'")"
echo "cache $(ps -o args= -C memcached | grep -c -- '-m 32') $(ps -o args= -C redis-server | wc -l)"
echo "children $(grep -h max_children /etc/php/8.2/fpm/pool.d/wordpress-{intranet,agenda}.conf | tr -dc '0-9\n' | xargs)"
echo "timer $(systemctl show --property=TimersMonotonic wordpress-cron@agenda.timer | grep -c 'OnUnitActiveUSec=1min')"
echo "ban $(fail2ban-client get wordpress maxretry) $(fail2ban-client get wordpress findtime) $(fail2ban-client get wordpress bantime) $(fail2ban-client get wordpress ignoreip | grep -c '198.51.100.0/24')"
echo "logs $(grep -c 'rotate 180' /etc/logrotate.d/wordpress) $(ls /var/log/sites | xargs)"
echo "days $(( ($(date -d "$(openssl x509 -in /etc/ssl/wordpress/agenda.pem -noout -enddate | cut -d= -f2)" +%s) - $(date +%s)) / 86400 ))"
echo "upload $(runuser -u wp_membres -- php -r 'echo 1;') $(grep -h upload_max /etc/php/8.2/fpm/pool.d/wordpress-membres.conf | tr -dc 0-9) $(grep -h memory_limit /etc/php/8.2/fpm/pool.d/wordpress-intranet.conf | tr -dc 0-9)"
echo "mail $(grep -c 192.0.2.25 /srv/sites/agenda/releases/wp-config.php) $(grep -c INFOGERANCE_SMTP /srv/sites/intranet/releases/wp-config.php || true)"
echo "hosts $(grep -c actes.sages-femmes.example /srv/sites/agenda/releases/wp-config.php) $(grep -c WP_POST_REVISIONS /srv/sites/membres/releases/wp-config.php)"
echo "opcache $(grep -c 'memory_consumption = 64' /etc/php/8.2/fpm/conf.d/90-wordpress.ini)"
echo "closed $(grep -c 'This site is being updated' /etc/nginx/sites-enabled/wordpress-agenda.conf)"

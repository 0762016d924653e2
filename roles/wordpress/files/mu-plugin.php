<?php
/**
 * Plugin Name: Infogérance
 * Description: Réglages de sécurité et de courriel posés par l'infogérance; ne se désactive pas.
 *
 * Copyright: Contributors to cnosf.infogerance
 * GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
 * SPDX-License-Identifier: GPL-3.0-or-later
 */

defined('ABSPATH') || exit;

// What tells attackers which release to look up.
remove_action('wp_head', 'wp_generator');
add_filter('the_generator', '__return_empty_string');

// The same answer for a wrong name and a wrong password.
add_filter('login_errors', static fn (): string => __('<strong>Error:</strong> Invalid username, email address or incorrect password.'));

// Account names are nobody's business before a login: REST, archives by author, embedded previews, site map.
add_filter('rest_endpoints', static function (array $endpoints): array {
    if (!is_user_logged_in()) {
        unset($endpoints['/wp/v2/users'], $endpoints['/wp/v2/users/(?P<id>[\d]+)']);
    }
    return $endpoints;
});
add_action('template_redirect', static function (): void {
    if (is_author() && isset($_GET['author'])) {
        wp_safe_redirect(home_url('/'), 301);
        exit;
    }
});
add_filter('oembed_response_data', static function (array $data): array {
    unset($data['author_name'], $data['author_url']);
    return $data;
});
add_filter('wp_sitemaps_add_provider', static fn ($provider, string $name) => $name === 'users' ? false : $provider, 10, 2);

if (!INFOGERANCE_XMLRPC) {
    add_filter('xmlrpc_enabled', '__return_false');
    add_filter('pings_open', '__return_false');
    remove_action('wp_head', 'rsd_link');
}

// Updates are the provider's: the reminder in the dashboard would only invite to what is not permitted.
add_action('admin_init', static function (): void {
    remove_action('admin_notices', 'update_nag', 3);
});

if (defined('INFOGERANCE_SMTP')) {
    add_action('phpmailer_init', static function ($mailer): void {
        $mailer->isSMTP();
        $mailer->Host = INFOGERANCE_SMTP['host'];
        $mailer->Port = INFOGERANCE_SMTP['port'];
        $mailer->SMTPSecure = INFOGERANCE_SMTP['encryption'];
        $mailer->SMTPAutoTLS = INFOGERANCE_SMTP['encryption'] !== '';
        $mailer->SMTPAuth = INFOGERANCE_SMTP['user'] !== '';
        $mailer->Username = INFOGERANCE_SMTP['user'];
        $mailer->Password = INFOGERANCE_SMTP['password'];
        $mailer->Timeout = 10;
    });
    add_filter('wp_mail_from', static fn (): string => INFOGERANCE_SMTP['sender']);
}

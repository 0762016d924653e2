<?php
/**
 * Health page of a site: PHP runs, the database answers with the tables of this release, the cache keeps a value.
 *
 * Answers 200 with "status": "ok", or 503 with the part that fails; it loads WordPress's core only, no plugin or theme.
 * The web server lets declared addresses in and no others. Nothing secret is in it.
 *
 * Copyright: Contributors to cnosf.infogerance
 * GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
 * SPDX-License-Identifier: GPL-3.0-or-later
 */

declare(strict_types=1);

$infogerance_health = ['status' => 'failed', 'site' => $_SERVER['INFOGERANCE_SITE'], 'php' => PHP_VERSION];
$infogerance_part = 'database';

ob_start();
register_shutdown_function(static function () use (&$infogerance_health, &$infogerance_part): void {
    while (ob_get_level() > 0) {
        ob_end_clean();
    }
    if ($infogerance_health['status'] !== 'ok') {
        $infogerance_health['failed'] = $infogerance_part;
    }
    http_response_code($infogerance_health['status'] === 'ok' ? 200 : 503);
    header('Content-Type: application/json; charset=utf-8');
    header('Cache-Control: no-store');
    echo json_encode($infogerance_health), "\n";
});

define('SHORTINIT', true);
// WordPress ends the request here, with a page of its own, when the database does not answer.
require $_SERVER['INFOGERANCE_HOME'] . '/current/wp-load.php';

$infogerance_health['release'] = $wp_version;
$infogerance_tables = (int) $wpdb->get_var("SELECT option_value FROM {$wpdb->options} WHERE option_name = 'db_version'");
$infogerance_health['database'] = $infogerance_tables === 0 ? 'not installed' : 'ok';
if ($infogerance_tables !== (int) $wp_db_version) {
    if ($infogerance_tables !== 0) {
        $infogerance_health['database'] = "tables at layout $infogerance_tables, the release needs $wp_db_version";
    }
    exit;
}

$infogerance_part = 'cache';
if (defined('INFOGERANCE_CACHE')) {
    $infogerance_value = bin2hex(random_bytes(8));
    wp_cache_set('health', $infogerance_value, 'infogerance', 60);
    $infogerance_kept = wp_cache_get('health', 'infogerance', true) === $infogerance_value;
    $infogerance_health['cache'] = $infogerance_kept && $wp_object_cache->failure === '' ? 'ok' : 'does not answer';
    if ($infogerance_health['cache'] !== 'ok') {
        exit;
    }
} else {
    $infogerance_health['cache'] = 'none';
}
$infogerance_health['status'] = 'ok';

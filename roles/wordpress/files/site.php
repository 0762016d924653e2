<?php
/**
 * Reads and writes what WordPress keeps in its database, for the module wordpress_sites.
 *
 * One JSON request on standard input, one JSON answer after a mark on standard output. It runs on the command line only,
 * as the site's maintenance user, whose database account may change tables. Nothing leaves the server meanwhile.
 *
 * Copyright: Contributors to cnosf.infogerance
 * GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
 * SPDX-License-Identifier: GPL-3.0-or-later
 */

declare(strict_types=1);

namespace Infogerance;

if (PHP_SAPI !== 'cli') {
    exit(1);
}

const MARK = "\x01infogerance ";

final class Refused extends \RuntimeException
{
}

/** Prints the answer, once, after anything that WordPress or a plugin may have printed. */
function answer(array $result): void
{
    static $answered = false;
    if ($answered) {
        return;
    }
    $answered = true;
    while (ob_get_level() > 0) {
        ob_end_clean();
    }
    echo MARK, json_encode($result, JSON_THROW_ON_ERROR | JSON_INVALID_UTF8_SUBSTITUTE);
}

function check_database(string $schema): void
{
    $user = posix_getpwuid(posix_geteuid())['name'];
    mysqli_report(MYSQLI_REPORT_OFF);
    $link = @mysqli_connect('localhost', $user, '', $schema);
    if ($link === false) {
        $unreachable = in_array(mysqli_connect_errno(), [2002, 2003, 2006], true);
        answer(['error' => 'the database refuses ' . $user . ': ' . mysqli_connect_error() . '.',
                'kind' => $unreachable ? 'database' : 'access']);
        exit(0);
    }
    mysqli_close($link);
}

function load(array $request, bool $installing): void
{
    $_SERVER['HTTP_HOST'] = $_SERVER['SERVER_NAME'] = $request['hostname'];
    $_SERVER['REQUEST_URI'] = '/';
    $_SERVER['REQUEST_METHOD'] = 'GET';
    $_SERVER['SERVER_PROTOCOL'] = 'HTTP/1.1';
    $_SERVER['REMOTE_ADDR'] = '127.0.0.1';
    $_SERVER['HTTPS'] = 'on';
    if ($request['action'] === 'read') {
        // What the tables hold is the truth, not what a cache remembers of it.
        define('INFOGERANCE_CACHE_OFF', true);
    }
    if ($installing) {
        // No plugin is loaded, and the absence of tables is not an error.
        define('WP_INSTALLING', true);
    } else {
        define('WP_ADMIN', true);
    }
}

/** No visit to wordpress.org, to the site itself or to a mail server while the site is being set up. */
function stay_inside(): void
{
    add_filter('pre_http_request', static fn () => new \WP_Error('infogerance', 'No request leaves during maintenance.'));
    add_filter('pre_wp_mail', '__return_false');
    // WordPress does not write a value that its cache believes to be there.
    wp_cache_flush();
}

function must(mixed $result): mixed
{
    if (is_wp_error($result)) {
        throw new Refused(wp_strip_all_tags($result->get_error_message()));
    }
    return $result;
}

/** WordPress stores scalars as text: 1, true and "1" are the same option. */
function same(mixed $wanted, mixed $found): bool
{
    if (is_array($wanted) || is_array($found)) {
        return maybe_serialize($wanted) === maybe_serialize($found);
    }
    return stored($wanted) === (string) $found;
}

function stored(mixed $value): mixed
{
    return is_bool($value) ? ($value ? '1' : '0') : (is_array($value) ? $value : (string) $value);
}

function application_password_matches(string $password, array $item): bool
{
    if (method_exists(\WP_Application_Passwords::class, 'check_password')) {
        return \WP_Application_Passwords::check_password($password, $item['password']);
    }
    return wp_check_password($password, $item['password']);
}

/** Programs send the password with or without the blanks that WordPress shows it with. */
function bare(string $password): string
{
    return preg_replace('/[^a-z\d]/i', '', $password);
}

function read(array $request): array
{
    if (!is_blog_installed()) {
        return ['installed' => false];
    }
    $differing = [];
    foreach ($request['options'] as $name => $wanted) {
        $found = get_option($name, null);
        if ($found === null || !same(sanitize_option($name, stored($wanted)), $found)) {
            $differing[$name] = is_scalar($found) ? $found : null;
        }
    }
    $accounts = [];
    foreach ($request['accounts'] as $declared) {
        $user = get_user_by('login', $declared['login']);
        if (!$user) {
            continue;
        }
        $items = [];
        foreach (\WP_Application_Passwords::get_user_application_passwords($user->ID) as $item) {
            $items[$item['name']] = $item;
        }
        $wrong = [];
        foreach ($declared['application_passwords'] as $program) {
            $item = $items[$program['name']] ?? null;
            if ($item === null || !application_password_matches(bare($program['password']), $item)) {
                $wrong[] = $program['name'];
            }
        }
        $accounts[$user->user_login] = [
            'email' => $user->user_email,
            'roles' => array_values($user->roles),
            'display_name' => $user->display_name,
            'password_right' => $declared['password'] !== ''
                && wp_check_password($declared['password'], $user->user_pass, $user->ID),
            'wrong_applications' => $wrong,
        ];
    }
    return [
        'installed' => true,
        'differing' => (object) $differing,
        'theme' => (string) get_option('stylesheet'),
        'plugins' => array_values((array) get_option('active_plugins', [])),
        'accounts' => (object) $accounts,
    ];
}

function install(array $request): void
{
    require_once ABSPATH . 'wp-admin/includes/upgrade.php';
    stay_inside();
    if (is_blog_installed()) {
        throw new Refused('it is installed already.');
    }
    wp_install(
        $request['title'],
        $request['login'],
        $request['email'],
        $request['public'],
        '',
        wp_slash($request['password']),
        $request['language']
    );
    global $wpdb;
    if (!is_blog_installed() || $wpdb->last_error !== '') {
        throw new Refused('the installation failed: ' . ($wpdb->last_error ?: 'no table was made') . '.');
    }
}

function upgrade(): void
{
    require_once ABSPATH . 'wp-admin/includes/upgrade.php';
    stay_inside();
    wp_upgrade();
    wp_cache_flush();
    global $wpdb, $wp_db_version;
    $found = (int) $wpdb->get_var("SELECT option_value FROM {$wpdb->options} WHERE option_name = 'db_version'");
    if ($found !== (int) $wp_db_version) {
        throw new Refused("its tables stay at layout $found, and the release needs $wp_db_version.");
    }
}

function set_options(array $options): void
{
    foreach ($options as $name => $value) {
        update_option($name, stored($value));
        if (!same(sanitize_option($name, stored($value)), get_option($name, null))) {
            throw new Refused("option $name does not keep the value it is given.");
        }
    }
    if (array_key_exists('permalink_structure', $options)) {
        delete_option('rewrite_rules');
    }
}

function set_theme(string $name): void
{
    $theme = wp_get_theme($name);
    if (!$theme->exists() || $theme->errors()) {
        throw new Refused("theme $name is not there, or not whole: declare its archive.");
    }
    must(validate_theme_requirements($name));
    switch_theme($name);
}

function set_plugins(array $wanted): void
{
    require_once ABSPATH . 'wp-admin/includes/plugin.php';
    foreach ($wanted as $plugin) {
        must(validate_plugin($plugin));
    }
    deactivate_plugins(array_diff((array) get_option('active_plugins', []), $wanted));
    foreach ($wanted as $plugin) {
        must(activate_plugin($plugin));
    }
}

function set_account(array $request): void
{
    require_once ABSPATH . 'wp-admin/includes/user.php';
    $user = get_user_by('login', $request['login']);
    $fields = [
        'user_login' => $request['login'],
        'user_email' => $request['email'],
        'display_name' => $request['display_name'],
        'role' => $request['role'],
    ];
    if (get_role($request['role']) === null) {
        throw new Refused("account {$request['login']}: there is no role {$request['role']}.");
    }
    if (!$user) {
        $id = must(wp_insert_user(wp_slash($fields + ['user_pass' => $request['password']])));
    } else {
        $id = $user->ID;
        if ($request['password'] !== '' && !wp_check_password($request['password'], $user->user_pass, $id)) {
            $fields['user_pass'] = $request['password'];
        }
        must(wp_update_user(wp_slash($fields + ['ID' => $id])));
    }
    set_application_passwords((int) $id, $request['application_passwords']);
}

/** WordPress draws application passwords itself; a declared one is stored as WordPress would store its own. */
function set_application_passwords(int $user, array $declared): void
{
    if ($declared === []) {
        return;
    }
    $names = array_column($declared, 'name');
    $items = array_filter(
        \WP_Application_Passwords::get_user_application_passwords($user),
        static fn (array $item): bool => !in_array($item['name'], $names, true)
    );
    foreach ($declared as $program) {
        $password = bare($program['password']);
        $items[] = [
            'uuid' => wp_generate_uuid4(),
            'app_id' => '',
            'name' => $program['name'],
            'password' => method_exists(\WP_Application_Passwords::class, 'hash_password')
                ? \WP_Application_Passwords::hash_password($password)
                : wp_hash_password($password),
            'created' => time(),
            'last_used' => null,
            'last_ip' => null,
        ];
    }
    update_user_meta($user, \WP_Application_Passwords::USERMETA_KEY_APPLICATION_PASSWORDS, array_values($items));
    $network = get_main_network_id();
    if (!get_network_option($network, \WP_Application_Passwords::OPTION_KEY_IN_USE)) {
        update_network_option($network, \WP_Application_Passwords::OPTION_KEY_IN_USE, 1);
    }
}

set_error_handler(static fn (): bool => true, E_DEPRECATED | E_USER_DEPRECATED | E_NOTICE | E_WARNING);
ob_start();
register_shutdown_function(static function (): void {
    // WordPress ends by itself with a page where it cannot go on: its text is the reason.
    $text = '';
    while (ob_get_level() > 0) {
        $text = ob_get_clean() . $text;
    }
    $error = error_get_last();
    $fatal = $error !== null && in_array($error['type'], [E_ERROR, E_PARSE, E_CORE_ERROR, E_COMPILE_ERROR], true);
    $reason = $fatal ? $error['message'] : trim(preg_replace('/\s+/', ' ', strip_tags($text)));
    answer(['error' => substr($reason, 0, 500) ?: 'WordPress ended without a word.']);
});

// WordPress is loaded into this very scope: names of our own must not meet its globals.
$infogerance_request = json_decode(stream_get_contents(STDIN), true, 64, JSON_THROW_ON_ERROR);
$infogerance_action = $infogerance_request['action'];
check_database($infogerance_request['schema']);
load($infogerance_request, in_array($infogerance_action, ['read', 'install', 'upgrade', 'flush'], true));
require $infogerance_request['home'] . '/current/wp-load.php';

try {
    $infogerance_result = [];
    switch ($infogerance_action) {
        case 'read':
            $infogerance_result = read($infogerance_request);
            break;
        case 'install':
            install($infogerance_request);
            break;
        case 'upgrade':
            upgrade();
            break;
        case 'flush':
            wp_cache_flush();
            break;
        case 'options':
            stay_inside();
            set_options($infogerance_request['options']);
            break;
        case 'theme':
            stay_inside();
            set_theme($infogerance_request['theme']);
            break;
        case 'plugins':
            stay_inside();
            set_plugins($infogerance_request['plugins']);
            break;
        case 'account':
            stay_inside();
            set_account($infogerance_request);
            break;
        default:
            throw new Refused("action $infogerance_action is unknown.");
    }
    answer($infogerance_result);
} catch (Refused $refusal) {
    answer(['error' => $refusal->getMessage()]);
} catch (\Throwable $error) {
    answer(['error' => get_class($error) . ': ' . $error->getMessage()]);
}

<?php
/**
 * Object cache of cnosf.infogerance: keeps WordPress's cache in Redis or Memcached, one server of its own for each site.
 *
 * No distribution packages a drop-in, hence this one. It is reached by a socket that only the site's accounts may open,
 * so it needs no password, and emptying it touches no other site. A cache that does not answer is no error: the page is
 * made without it, and the health page says so.
 *
 * Copyright: Contributors to cnosf.infogerance
 * GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
 * SPDX-License-Identifier: GPL-3.0-or-later
 */

defined('ABSPATH') || exit;

/** What a cache server can do; every method may throw. */
interface Infogerance_Cache_Server
{
    /** @return array<string, mixed> found values by key */
    public function get(array $keys): array;

    public function set(string $key, mixed $value, int $seconds): bool;

    public function add(string $key, mixed $value, int $seconds): bool;

    public function replace(string $key, mixed $value, int $seconds): bool;

    public function delete(string $key): bool;

    /** Adds to a number that is there; never below zero; false when it is not there. */
    public function increment(string $key, int $offset): int|false;

    public function flush(): bool;
}

final class Infogerance_Redis implements Infogerance_Cache_Server
{
    private Redis $server;

    public function __construct(string $socket)
    {
        $this->server = new Redis();
        if (!$this->server->connect($socket, 0, 1.0, null, 0, 1.0)) {
            throw new RuntimeException("no answer on $socket");
        }
    }

    /** Whole numbers are stored as digits, so that the server can count. */
    private static function pack(mixed $value): string
    {
        return is_int($value) ? (string) $value : serialize($value);
    }

    private static function unpack(string $value): mixed
    {
        return preg_match('/^-?\d+$/', $value) ? (int) $value : unserialize($value);
    }

    private static function options(int $seconds, string ...$flags): array
    {
        return $seconds > 0 ? [...$flags, 'ex' => $seconds] : $flags;
    }

    public function get(array $keys): array
    {
        $found = [];
        foreach ($this->server->mget($keys) as $index => $value) {
            if ($value !== false) {
                $found[$keys[$index]] = self::unpack($value);
            }
        }
        return $found;
    }

    public function set(string $key, mixed $value, int $seconds): bool
    {
        return (bool) $this->server->set($key, self::pack($value), self::options($seconds));
    }

    public function add(string $key, mixed $value, int $seconds): bool
    {
        return (bool) $this->server->set($key, self::pack($value), self::options($seconds, 'nx'));
    }

    public function replace(string $key, mixed $value, int $seconds): bool
    {
        return (bool) $this->server->set($key, self::pack($value), self::options($seconds, 'xx'));
    }

    public function delete(string $key): bool
    {
        return $this->server->del($key) > 0;
    }

    public function increment(string $key, int $offset): int|false
    {
        if (!$this->server->exists($key)) {
            return false;
        }
        $value = $this->server->incrBy($key, $offset);
        if ($value < 0) {
            $this->server->set($key, '0', ['xx', 'keepttl']);
            $value = 0;
        }
        return $value;
    }

    public function flush(): bool
    {
        return (bool) $this->server->flushAll();
    }
}

final class Infogerance_Memcached implements Infogerance_Cache_Server
{
    private Memcached $server;

    public function __construct(string $socket)
    {
        $this->server = new Memcached();
        $this->server->setOption(Memcached::OPT_CONNECT_TIMEOUT, 1000);
        $this->server->addServer($socket, 0);
        if ($this->server->getVersion() === false) {
            throw new RuntimeException("no answer on $socket");
        }
    }

    /** Memcached takes keys of 250 visible characters. */
    private static function key(string $key): string
    {
        return strlen($key) > 200 || preg_match('/[\s[:cntrl:]]/', $key) ? md5($key) : $key;
    }

    /** Beyond 30 days Memcached reads a duration as a date. */
    private static function until(int $seconds): int
    {
        return $seconds > 2592000 ? time() + $seconds : $seconds;
    }

    public function get(array $keys): array
    {
        $names = [];
        foreach ($keys as $key) {
            $names[self::key($key)] = $key;
        }
        $found = [];
        foreach ($this->server->getMulti(array_keys($names)) ?: [] as $name => $value) {
            $found[$names[$name]] = $value;
        }
        return $found;
    }

    public function set(string $key, mixed $value, int $seconds): bool
    {
        return $this->server->set(self::key($key), $value, self::until($seconds));
    }

    public function add(string $key, mixed $value, int $seconds): bool
    {
        return $this->server->add(self::key($key), $value, self::until($seconds));
    }

    public function replace(string $key, mixed $value, int $seconds): bool
    {
        return $this->server->replace(self::key($key), $value, self::until($seconds));
    }

    public function delete(string $key): bool
    {
        return $this->server->delete(self::key($key));
    }

    public function increment(string $key, int $offset): int|false
    {
        $name = self::key($key);
        return $offset < 0 ? $this->server->decrement($name, -$offset) : $this->server->increment($name, $offset);
    }

    public function flush(): bool
    {
        return $this->server->flush();
    }
}

class WP_Object_Cache
{
    public int $cache_hits = 0;
    public int $cache_misses = 0;
    /** Why the server is not used; empty while it is. */
    public string $failure = '';

    private ?Infogerance_Cache_Server $server = null;
    /** @var array<string, mixed> what this request has seen */
    private array $seen = [];
    private array $global_groups = [];
    private array $fleeting_groups = [];
    private string $blog = '';

    public function __construct()
    {
        $this->blog = is_multisite() ? get_current_blog_id() . ':' : '';
        if (defined('INFOGERANCE_CACHE_OFF')) {
            return;
        }
        $settings = defined('INFOGERANCE_CACHE') ? INFOGERANCE_CACHE : [];
        $this->attempt(function () use ($settings): bool {
            $this->server = match ($settings['kind'] ?? '') {
                'redis' => new Infogerance_Redis($settings['socket']),
                'memcached' => new Infogerance_Memcached($settings['socket']),
                default => throw new RuntimeException('INFOGERANCE_CACHE names no kind of server'),
            };
            return true;
        }, false);
    }

    /** Runs something that needs the server; the first failure parts with it until the end of the request. */
    private function attempt(callable $work, mixed $otherwise): mixed
    {
        try {
            return $work();
        } catch (Throwable $error) {
            $this->server = null;
            $this->failure = $error->getMessage();
            error_log('object cache: ' . $this->failure);
            return $otherwise;
        }
    }

    private function name(int|string $key, string $group): string
    {
        $group = $group === '' ? 'default' : $group;
        return (isset($this->global_groups[$group]) ? '' : $this->blog) . "$group:$key";
    }

    private function shared(string $group): bool
    {
        return $this->server !== null && !isset($this->fleeting_groups[$group === '' ? 'default' : $group]);
    }

    private static function copy(mixed $value): mixed
    {
        return is_object($value) ? clone $value : $value;
    }

    private static function valid(mixed $key): bool
    {
        return is_int($key) || (is_string($key) && trim($key) !== '');
    }

    public function get($key, $group = 'default', $force = false, &$found = null)
    {
        $found = false;
        if (!self::valid($key)) {
            return false;
        }
        $values = $this->get_multiple([$key], $group, $force, $present);
        $found = $present[$key];
        return $values[$key];
    }

    public function get_multiple($keys, $group = 'default', $force = false, &$present = null): array
    {
        $group = (string) $group;
        $values = $present = $missing = [];
        foreach ($keys as $key) {
            $name = $this->name($key, $group);
            if (array_key_exists($name, $this->seen) && !($force && $this->shared($group))) {
                $values[$key] = self::copy($this->seen[$name]);
                $present[$key] = true;
            } else {
                $values[$key] = false;
                $present[$key] = false;
                $missing[$name] = $key;
            }
        }
        if ($missing && $this->shared($group)) {
            $answers = $this->attempt(fn (): array => $this->server->get(array_keys($missing)), []);
            foreach ($answers as $name => $value) {
                $this->seen[$name] = $value;
                $values[$missing[$name]] = self::copy($value);
                $present[$missing[$name]] = true;
            }
        }
        $hits = count(array_filter($present));
        $this->cache_hits += $hits;
        $this->cache_misses += count($present) - $hits;
        return $values;
    }

    private function write(string $how, $key, $value, $group, $expire): bool
    {
        if (!self::valid($key)) {
            return false;
        }
        $group = (string) $group;
        $name = $this->name($key, $group);
        $done = true;
        if ($this->shared($group)) {
            $done = $this->attempt(fn (): bool => $this->server->$how($name, $value, max(0, (int) $expire)), true);
        } elseif ($how !== 'set') {
            $done = array_key_exists($name, $this->seen) === ($how === 'replace');
        }
        if ($done) {
            $this->seen[$name] = self::copy($value);
        }
        return $done;
    }

    public function set($key, $value, $group = 'default', $expire = 0): bool
    {
        return $this->write('set', $key, $value, $group, $expire);
    }

    public function add($key, $value, $group = 'default', $expire = 0): bool
    {
        return !wp_suspend_cache_addition() && $this->write('add', $key, $value, $group, $expire);
    }

    public function replace($key, $value, $group = 'default', $expire = 0): bool
    {
        return $this->write('replace', $key, $value, $group, $expire);
    }

    public function delete($key, $group = 'default'): bool
    {
        if (!self::valid($key)) {
            return false;
        }
        $name = $this->name($key, (string) $group);
        $known = array_key_exists($name, $this->seen);
        unset($this->seen[$name]);
        return $this->shared((string) $group) ? $this->attempt(fn (): bool => $this->server->delete($name), $known) : $known;
    }

    public function incr($key, $offset = 1, $group = 'default')
    {
        if (!self::valid($key)) {
            return false;
        }
        $name = $this->name($key, (string) $group);
        if ($this->shared((string) $group)) {
            $value = $this->attempt(fn (): int|false => $this->server->increment($name, (int) $offset), false);
        } else {
            $known = $this->seen[$name] ?? null;
            $value = $known === null ? false : max(0, (is_numeric($known) ? (int) $known : 0) + (int) $offset);
        }
        if ($value !== false) {
            $this->seen[$name] = $value;
        }
        return $value;
    }

    public function flush(): bool
    {
        $this->seen = [];
        return $this->server === null || $this->attempt(fn (): bool => $this->server->flush(), false);
    }

    public function flush_runtime(): bool
    {
        $this->seen = [];
        return true;
    }

    public function add_global_groups($groups): void
    {
        $this->global_groups += array_fill_keys((array) $groups, true);
    }

    public function add_non_persistent_groups($groups): void
    {
        $this->fleeting_groups += array_fill_keys((array) $groups, true);
    }

    public function switch_to_blog($blog): void
    {
        $this->blog = is_multisite() ? (int) $blog . ':' : '';
    }
}

function wp_cache_init()
{
    $GLOBALS['wp_object_cache'] = new WP_Object_Cache();
}

function wp_cache_supports($feature)
{
    return in_array(
        $feature,
        ['add_multiple', 'set_multiple', 'get_multiple', 'delete_multiple', 'flush_runtime'],
        true
    );
}

function wp_cache_add($key, $data, $group = '', $expire = 0)
{
    return $GLOBALS['wp_object_cache']->add($key, $data, $group, (int) $expire);
}

function wp_cache_add_multiple(array $data, $group = '', $expire = 0)
{
    $done = [];
    foreach ($data as $key => $value) {
        $done[$key] = wp_cache_add($key, $value, $group, $expire);
    }
    return $done;
}

function wp_cache_replace($key, $data, $group = '', $expire = 0)
{
    return $GLOBALS['wp_object_cache']->replace($key, $data, $group, (int) $expire);
}

function wp_cache_set($key, $data, $group = '', $expire = 0)
{
    return $GLOBALS['wp_object_cache']->set($key, $data, $group, (int) $expire);
}

function wp_cache_set_multiple(array $data, $group = '', $expire = 0)
{
    $done = [];
    foreach ($data as $key => $value) {
        $done[$key] = wp_cache_set($key, $value, $group, $expire);
    }
    return $done;
}

function wp_cache_get($key, $group = '', $force = false, &$found = null)
{
    return $GLOBALS['wp_object_cache']->get($key, $group, $force, $found);
}

function wp_cache_get_multiple($keys, $group = '', $force = false)
{
    return $GLOBALS['wp_object_cache']->get_multiple($keys, $group, $force);
}

function wp_cache_delete($key, $group = '')
{
    return $GLOBALS['wp_object_cache']->delete($key, $group);
}

function wp_cache_delete_multiple(array $keys, $group = '')
{
    $done = [];
    foreach ($keys as $key) {
        $done[$key] = wp_cache_delete($key, $group);
    }
    return $done;
}

function wp_cache_incr($key, $offset = 1, $group = '')
{
    return $GLOBALS['wp_object_cache']->incr($key, $offset, $group);
}

function wp_cache_decr($key, $offset = 1, $group = '')
{
    return $GLOBALS['wp_object_cache']->incr($key, -$offset, $group);
}

function wp_cache_flush()
{
    return $GLOBALS['wp_object_cache']->flush();
}

function wp_cache_flush_runtime()
{
    return $GLOBALS['wp_object_cache']->flush_runtime();
}

function wp_cache_flush_group($group)
{
    return false;
}

function wp_cache_close()
{
    return true;
}

function wp_cache_add_global_groups($groups)
{
    $GLOBALS['wp_object_cache']->add_global_groups($groups);
}

function wp_cache_add_non_persistent_groups($groups)
{
    $GLOBALS['wp_object_cache']->add_non_persistent_groups($groups);
}

function wp_cache_switch_to_blog($blog_id)
{
    $GLOBALS['wp_object_cache']->switch_to_blog($blog_id);
}

function wp_cache_reset()
{
    $GLOBALS['wp_object_cache']->flush_runtime();
}

# SPDX-License-Identifier: MIT
"""Servers on loopback: long lives, workers that are forked, users that are changed, handlers of their own."""
import glob
import os
import signal
import socket
import supervise

SSHD = """Port {port}
ListenAddress 127.0.0.1
HostKey {dir}/host
AuthorizedKeysFile {dir}/key.pub
PidFile none
StrictModes no
UsePAM yes
PasswordAuthentication no
PermitRootLogin yes
Subsystem sftp /usr/lib/openssh/sftp-server
"""
SSH = """Host there
HostName 127.0.0.1
Port {port}
User root
IdentityFile {dir}/key
IdentitiesOnly yes
StrictHostKeyChecking no
UserKnownHostsFile {dir}/known
"""


def openssh(work):
    port = work.free_port()
    work.hide_number(port, "PORT")
    os.makedirs("/run/sshd", exist_ok=True)
    for name in ("host", "key"):
        work.tool("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "test", "-f", name)
    work.write("sshd.conf", SSHD.format(port=port, dir=work.dir))
    work.write("ssh.conf", SSH.format(port=port, dir=work.dir))
    server = work.start("/usr/sbin/sshd", "-D", "-e", "-f", work.path("sshd.conf"))
    server.ready(lambda: work.listening(port))
    work.run("ssh", "-F", "ssh.conf", "there", "sort; echo to stderr >&2; exit 8", stdin=b"b\na\n" * 5000)
    work.write("batch", "put ssh.conf copy\nls -1 copy\nrename copy other\nget other back\nrm other\n")
    work.write("batch", f"cd {work.dir}\n".encode() + work.read("batch"))
    work.run("sftp", "-F", "ssh.conf", "-b", "batch", "there")
    work.note_file("batch")
    work.run("scp", "-F", "ssh.conf", "batch", f"there:{work.path('scp-copy')}")
    alone = lambda: len(supervise.tree_of(server.pid)) == 1
    work.until(alone, "the sessions have ended")
    out, into = os.pipe()
    client = work.start("ssh", "-F", "ssh.conf", "there", "echo connected; cat", stdin=out)
    client.ready(lambda: b"connected" in client.printed(1))
    client.look()
    server.look()
    os.close(into)
    client.stop()
    work.until(alone, "the session has ended")
    server.stop(signal.SIGTERM, in_order=False)


def redis(work):
    port = work.free_port()
    work.hide_number(port, "PORT")
    work.write("redis.conf", f"port {port}\nbind 127.0.0.1\ndir {work.dir}\nloglevel warning\nsave ''\nhz 10\n"
               "always-show-logo no\nset-proc-title no\n")
    server = work.start("redis-server", "redis.conf")
    server.ready(lambda: work.listening(port))
    script = "".join(f"set key:{n} {'x' * (n % 300)}\nrpush list {n}\nhset hash f{n} {n}\n" for n in range(2000))
    script += "lrange list 10 15\nhget hash f77\nsort list desc limit 0 3\ndbsize\n"
    script += "eval \"local t = {} for i = 1, 500 do t[i] = i .. ' x' end return #table.concat(t)\" 0\nwrong\nsave\n"
    work.run("redis-cli", "-p", str(port), stdin=script.encode())
    work.note("size of dump.rdb", str(len(work.read("dump.rdb"))))
    work.run("redis-cli", "-p", str(port), "bgsave")
    ask = lambda *words: work.tool("redis-cli", "-p", str(port), *words)
    work.until(lambda: "rdb_bgsave_in_progress:0" in ask("info", "persistence"), "saved by a child")
    work.run("redis-cli", "-p", str(port), "get", "key:5")
    server.look()
    work.run("redis-cli", "-p", str(port), "shutdown", "nosave")
    server.stop()


def postgresql(work):
    programs = sorted(glob.glob("/usr/lib/postgresql/*/bin"))[-1]
    work.own("postgres")
    run = lambda *argv, **more: work.run(os.path.join(programs, argv[0]), *argv[1:], user="postgres", **more)
    run("initdb", "-D", "data", "--no-sync", "-A", "trust", "--locale=C.UTF-8", "-E", "UTF8", "--no-instructions")
    work.write("data/postgresql.conf", f"""listen_addresses = ''
unix_socket_directories = '{work.dir}'
fsync = off
max_parallel_workers_per_gather = 2
min_parallel_table_scan_size = 0
parallel_setup_cost = 0
parallel_tuple_cost = 0
autovacuum = off
log_line_prefix = ''
log_checkpoints = off
lc_messages = C
""")
    server = work.start(os.path.join(programs, "postgres"), "-D", "data", user="postgres")
    server.ready(lambda: b"ready to accept" in server.printed())
    psql = lambda text: run("psql", "-X", "-h", work.dir, "-d", "postgres", "-At", stdin=text)
    psql(b"""
create table t as select g as id, md5(g::text) as name, g % 97 as part from generate_series(1, 30000) g;
create index on t(name);
analyze t;
select part, count(*), max(name) from t group by part order by part limit 3;
select count(*) from t a join t b on a.name = b.name where a.part = 5;
create function f(n int) returns text language plpgsql as $$
begin return (select string_agg(x::text, ',') from generate_series(1, n) x); end $$;
select length(f(1000));
select 1 / 0;
select jsonb_agg(jsonb_build_object('id', id)) -> 1 from t where id < 5;
vacuum full t;
\\copy (select * from t order by id limit 3) to stdout
select * from no_such_table;
""")
    run("pg_dump", "-h", work.dir, "-d", "postgres", "-t", "t", "--schema-only")
    holder = work.start(os.path.join(programs, "psql"), "-X", "-h", work.dir, "-d", "postgres", "-At",
                        stdin=(pipe := os.pipe())[0], user="postgres")
    os.write(pipe[1], b"select 'connected';\n")
    holder.ready(lambda: b"connected" in holder.printed(1))
    work.until(lambda: len(backends_of(server.pid)) == 1, "the sessions before have ended")
    holder.look()
    server.look()
    os.close(pipe[1])
    holder.stop()
    work.until(lambda: not backends_of(server.pid), "the session has ended")
    server.stop(signal.SIGINT)


def backends_of(postmaster):
    """The children that serve a client; they say so in their title."""
    found = []
    for pid in supervise.children_of(postmaster):
        try:
            with open(f"/proc/{pid}/cmdline", "rb") as file:
                if b"[local]" in file.read():
                    found.append(pid)
        except FileNotFoundError:
            pass
    return found


def fetch(work, port, *paths):
    for path in paths:
        work.run("curl", "-sS", "-i", "--compressed", f"http://127.0.0.1:{port}/{path}")


def nginx(work):
    port = work.free_port()
    work.hide_number(port, "PORT")
    work.write("html/index.html", "<p>words, again and again</p>\n" * 2000)
    work.write("nginx.conf", f"""daemon off;
worker_processes 1;
error_log stderr error;
pid {work.dir}/pid;
events {{ worker_connections 64; }}
http {{
  access_log {work.dir}/access.log;
  client_body_temp_path {work.dir}/body; proxy_temp_path {work.dir}/proxy; fastcgi_temp_path {work.dir}/fastcgi;
  uwsgi_temp_path {work.dir}/uwsgi; scgi_temp_path {work.dir}/scgi;
  gzip on; gzip_types *;
  server {{ listen 127.0.0.1:{port}; root {work.dir}/html;
    location /again/ {{ proxy_pass http://127.0.0.1:{port}/; }} }}
}}
""")
    server = work.start("nginx", "-c", work.path("nginx.conf"), "-e", "stderr")
    server.ready(lambda: work.listening(port))
    fetch(work, port, "", "absent", "again/")
    before = supervise.children_of(server.pid)
    os.kill(server.pid, signal.SIGHUP)
    work.until(lambda: (now := supervise.children_of(server.pid)) and not set(now) & set(before), "reloaded")
    fetch(work, port, "again/absent")
    os.kill(server.pid, signal.SIGUSR1)
    server.look()
    server.stop(signal.SIGQUIT)


def apache2(work):
    port = work.free_port()
    work.hide_number(port, "PORT")
    work.write("html/index.html", "<p>words</p>\n" * 500)
    work.write("html/page.php", """<?php
$rows = [];
for ($i = 0; $i < 20000; $i++) { $rows[md5((string)$i)] = str_repeat('x', $i % 50); }
ksort($rows);
echo count($rows), ' ', strlen(json_encode($rows)), ' ', preg_match_all('/[aeiou]/', implode(array_keys($rows)));
""")
    modules = "/usr/lib/apache2/modules"
    php = glob.glob(f"{modules}/libphp*.so")[0]
    work.write("apache.conf", f"""ServerRoot {work.dir}
ServerName localhost
Listen 127.0.0.1:{port}
PidFile {work.dir}/pid
DefaultRuntimeDir {work.dir}
Mutex file:{work.dir}
LoadModule mpm_prefork_module {modules}/mod_mpm_prefork.so
LoadModule authz_core_module {modules}/mod_authz_core.so
LoadModule dir_module {modules}/mod_dir.so
LoadModule php_module {php}
User www-data
Group www-data
StartServers 2
MinSpareServers 2
MaxSpareServers 2
MaxRequestWorkers 2
ErrorLog /dev/stderr
LogLevel error
DocumentRoot {work.dir}/html
DirectoryIndex index.html
<FilesMatch "\\.php$">
  SetHandler application/x-httpd-php
</FilesMatch>
""")
    server = work.start("apache2", "-f", work.path("apache.conf"), "-DFOREGROUND")
    server.ready(lambda: work.listening(port) and len(supervise.children_of(server.pid)) == 2)
    fetch(work, port, "", "page.php", "absent")
    before = supervise.children_of(server.pid)
    os.kill(server.pid, signal.SIGUSR1)  # to apache2: restart gracefully
    work.until(lambda: len(now := supervise.children_of(server.pid)) == 2 and not set(now) & set(before), "restarted")
    fetch(work, port, "page.php")
    server.look()
    server.stop(signal.SIGTERM)


def memcached(work):
    port = work.free_port()
    work.hide_number(port, "PORT")
    server = work.start("memcached", "-l", "127.0.0.1", "-p", str(port), "-U", "0", "-t", "2", "-m", "16",
                        *(["-u", "nobody"] if os.geteuid() == 0 else []))
    server.ready(lambda: work.listening(port))
    with socket.create_connection(("127.0.0.1", port)) as peer, peer.makefile("rwb") as stream:
        for n in range(2000):
            stream.write(b"set key%d 0 0 %d\r\n%s\r\n" % (n, n % 900, b"x" * (n % 900)))
        stream.write(b"get key7 key899\r\nincr absent 1\r\nappend key1 0 0 1\r\ny\r\nget key1\r\nnonsense\r\nquit\r\n")
        stream.flush()
        work.note("answers", stream.read().decode())
    server.look()
    server.stop(signal.SIGTERM)

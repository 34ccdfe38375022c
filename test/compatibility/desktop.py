# SPDX-License-Identifier: MIT
"""A display server, a terminal multiplexer and a browser."""
import os
import signal
import supervise

PAGE = """<!DOCTYPE html><title>before</title><div id=out></div><script>
const rows = [...Array(3000).keys()].map((n) => `<p>${n * n}</p>`);
const box = document.createElement('div');
box.innerHTML = rows.join('');
document.title = 'after';
document.getElementById('out').textContent = box.children.length + ' ' + box.lastChild.textContent;
</script>
"""


def xvfb(work):
    """A server that finds SIGUSR1 ignored tells its parent by SIGUSR1 that it is ready; xinit relies on that."""
    told = []
    signal.signal(signal.SIGUSR1, lambda *_: told.append(True))
    display = next(n for n in range(90, 999) if not os.path.exists(f"/tmp/.X11-unix/X{n}")
                   and not os.path.exists(f"/tmp/.X{n}-lock"))
    work.hide_number(display, "DISPLAY")
    server = work.start("Xvfb", f":{display}", "-screen", "0", "640x480x24", "-nolisten", "tcp", "-noreset",
                        ignore=[signal.SIGUSR1])
    server.ready(lambda: bool(told))
    for client in (["xdpyinfo"], ["xprop", "-root"], ["xwininfo", "-root", "-tree"], ["xlsatoms"], ["xlsfonts"]):
        work.run(*client, env={"DISPLAY": f":{display}"})
    server.look()
    server.stop(signal.SIGTERM)


def listens_only(server):
    """A client's socket is closed a moment after it has gone; which number the next pane gets hangs on that."""
    try:
        return sum(target == "socket:" for _, target, _ in supervise.what_is_open(server)) == 1
    except FileNotFoundError:  # closed while we looked
        return False


def tmux(work):
    command = ["tmux", "-S", work.path("socket"), "-f", "/dev/null"]
    work.run(*command, "new-session", "-d", "-x", "80", "-y", "24", "-s", "one", "PS1='$ ' exec sh", trace="alone")
    server = int(work.tool(*command, "display", "-p", "#{pid}"))
    screen = lambda pane: work.tool(*command, "capture-pane", "-p", "-t", f"one.{pane}")
    work.until(lambda: screen(0).startswith("$"), "the shell has prompted")
    work.run(*command, "send-keys", "-t", "one", "seq 3; echo $((6 * 7))", "Enter")
    work.until(lambda: listens_only(server), "the server has closed its clients' sockets")
    work.run(*command, "split-window", "-d", "-t", "one", "seq 1000 | tail -n 2; exec cat")
    work.until(lambda: "\n42\n$" in screen(0) and "1000\n" in screen(1), "the panes have printed")
    work.run(*command, "capture-pane", "-p", "-t", "one.0")
    work.run(*command, "capture-pane", "-p", "-t", "one.1")
    work.run(*command, "list-panes", "-a", "-F", "#{session_name} #{pane_index} #{pane_width} #{pane_height}")
    work.supervisor.look_at_rest(lambda: supervise.tree_of(server))
    work.run(*command, "kill-server")
    work.supervisor.wait(server)


def chromium(work):
    work.write("page.html", PAGE)
    work.run("chromium", "--headless", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage",
             f"--user-data-dir={work.path('profile')}", "--virtual-time-budget=2000", "--dump-dom",
             "file://" + work.path("page.html"), trace="alone")

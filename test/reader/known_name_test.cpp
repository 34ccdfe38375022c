// SPDX-License-Identifier: MIT

#include "reader/known_name.h"

#include <gtest/gtest.h>

namespace heapster::reader {
namespace {

std::string name_of(const std::string& executable, std::vector<std::string> command) {
  Process process;
  process.executable = executable;
  process.command = std::move(command);
  return known_name(process);
}

TEST(KnownName, IsTheFirstWord) {
  EXPECT_EQ(name_of("/usr/sbin/nginx", {"nginx: master process"}), "nginx: master process");
  EXPECT_EQ(name_of("/bin/busybox", {"/bin/ls", "-l"}), "ls");
  EXPECT_EQ(name_of("/opt/app", {"./app", "x.py"}), "app");
}

TEST(KnownName, IsTheExecutableWhereThereIsNoWord) {
  EXPECT_EQ(name_of("/opt/app", {}), "app");
  EXPECT_EQ(name_of("/opt/app", {""}), "app");
}

TEST(KnownName, HasTheScriptOfAnInterpreter) {
  EXPECT_EQ(name_of("/usr/bin/python3.11", {"python3", "-u", "/srv/app.py", "x"}), "python3 app.py");
  EXPECT_EQ(name_of("/usr/bin/python3.11", {"python3", "-W", "ignore", "-m", "http.server"}), "python3 http.server");
  EXPECT_EQ(name_of("/usr/bin/php8.2", {"php", "worker.php"}), "php worker.php");
  EXPECT_EQ(name_of("/usr/lib/jvm/bin/java", {"java", "-Xmx1g", "-cp", "a:b", "-jar", "lib/x.jar"}), "java x.jar");
  EXPECT_EQ(name_of("/usr/bin/dash", {"-sh"}), "sh");
  EXPECT_EQ(name_of("/usr/bin/perl", {"perl", "-e", "print 1"}), "perl");
  EXPECT_EQ(name_of("/usr/bin/perl", {"/srv/job", "/srv/job.pl"}), "job job.pl");
}

}  // namespace
}  // namespace heapster::reader

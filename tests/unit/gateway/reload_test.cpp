// What --exec, --signal and --template say, and what a pid file does.
#include "gateway/reload.h"

#include "gateway/template_gateway.h"

#include <csignal>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace poolwarden::gateway {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

TEST(Reload, ACommandIsSplitAtBlanks) {
  EXPECT_THAT(*split_command("nginx -s reload"), ElementsAre("nginx", "-s", "reload"));
  EXPECT_THAT(*split_command("  a\t'b c' \"d 'e'\"\nf'g'h ''  "),
              ElementsAre("a", "b c", "d 'e'", "fgh", ""));
  EXPECT_THAT(*split_command("a\\ b $HOME;*"), ElementsAre("a\\", "b", "$HOME;*")) << "no shell";
  EXPECT_THAT(split_command("a 'b").error(), HasSubstr("a ' is not closed"));
  EXPECT_THAT(split_command(" ").error(), HasSubstr("it names no program"));
  EXPECT_THAT(split_command("'' b").error(), HasSubstr("it names no program"));
  EXPECT_THAT(split_command(std::string_view("a\0b", 3)).error(), HasSubstr("NUL"));
}

TEST(Reload, ASignalHasAPidFile) {
  const auto signal = parse_reload_signal("HUP:/run/nginx.pid");
  ASSERT_TRUE(signal);
  EXPECT_EQ(signal->number, SIGHUP);
  EXPECT_EQ(signal->pid_file, "/run/nginx.pid");
  EXPECT_EQ(parse_reload_signal("SIGUSR2:a:b")->pid_file, "a:b");
  for (const char* wrong : {"HUP", "HUP:", "", ":"})
    EXPECT_THAT(parse_reload_signal(wrong).error(), HasSubstr("SIGNAL:PIDFILE")) << wrong;
  EXPECT_THAT(parse_reload_signal("KILL:/run/nginx.pid").error(), HasSubstr("'KILL' is none of HUP"));
}

TEST(Reload, APidIsNeverOursNorProcess1NorAGroup) {
  EXPECT_EQ(*parse_pid("1234\n", 7), 1234);
  for (const char* wrong : {"", "\n", "-1234", "0", "12x", "99999999999999999999", " 5"})
    EXPECT_THAT(parse_pid(wrong, 7).error(), HasSubstr("does not hold the number of a process")) << wrong;
  for (const char* ours : {"1\n", "7"})
    EXPECT_THAT(parse_pid(ours, 7).error(), HasSubstr("shareProcessNamespace: true")) << ours;
}

TEST(Reload, TemplatesHaveTwoPaths) {
  const auto paths = parse_template_paths("pool.tmpl:/run/pool.conf");
  ASSERT_TRUE(paths);
  EXPECT_EQ(paths->in, "pool.tmpl");
  EXPECT_EQ(paths->out, "/run/pool.conf");
  for (const char* wrong : {"", "a", ":b", "a:", "a:b:c"})
    EXPECT_THAT(parse_template_paths(wrong).error(), HasSubstr("is not IN:OUT")) << wrong;
  EXPECT_THAT(parse_template_paths("a:a").error(), HasSubstr("overwrite its own template"));
  EXPECT_THAT(parse_template_paths("a:/run/").error(), HasSubstr("is a directory"));
}

}  // namespace
}  // namespace poolwarden::gateway

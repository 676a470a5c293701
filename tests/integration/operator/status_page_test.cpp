// The status page of the real operator, as a client and as a browser see it.
#include "operator_bench.h"

#include <algorithm>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <regex>
#include <set>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <httplib.h>

namespace poolwarden::integration {
namespace {

using namespace std::chrono_literals;
using testing::AllOf;
using testing::HasSubstr;
using testing::Not;

const json kSpec = {{"selector", {{"matchLabels", {{"app", "vllm"}}}}},
                    {"targetPorts", {{{"number", 8000}}}}};

// Of the operator that wrote that log; 0: it has not said so yet.
int metrics_port(const std::string& log) {
  static const std::regex kPort("metrics_port=\"?([0-9]+)");
  std::smatch port;
  return std::regex_search(log, port, kPort) ? std::stoi(port[1]) : 0;
}

std::string page_of(const std::string& log) {
  const auto answer = httplib::Client("127.0.0.1", metrics_port(log)).Get("/");
  return answer ? answer->body : "no answer";
}

bool shows(const std::string& page, const std::vector<std::string>& parts) {
  return std::all_of(parts.begin(), parts.end(),
                     [&page](const std::string& part) { return page.find(part) != std::string::npos; });
}

class StatusPage : public testing::Test {
 protected:
  void start(const std::vector<std::string>& flags = {}) {
    bench_.install_crd();
    bench_.create_pods(2);
    bench_.create_pool("vllm", kSpec);
    bench_.start(flags);
    ASSERT_TRUE(bench_.publishes("vllm", {"vllm-0", "vllm-1"})) << bench_.output();
    ASSERT_NE(metrics_port(bench_.output()), 0);
  }
  std::string page() { return page_of(bench_.output()); }
  bool comes_to_show(const std::vector<std::string>& parts) {
    return eventually([&] { return shows(page(), parts); });
  }

  OperatorBench bench_;
};

TEST_F(StatusPage, ShowsThePoolAndWhatBecomesOfIt) {
  ASSERT_NO_FATAL_FAILURE(start());
  EXPECT_TRUE(comes_to_show({"<bdi>default/vllm</bdi>", "<bdi>vllm-0</bdi>", "<bdi>vllm-1</bdi>",
                             "Leader election is off", "<bdi>n1</bdi>"}))
      << page();
  bench_.terminate("vllm-1");
  EXPECT_TRUE(comes_to_show({"✖ withdrawn", "<bdi>Terminating</bdi>"})) << page();
}

TEST_F(StatusPage, AnswersGetAndHeadAlone_WithAPolicy) {
  ASSERT_NO_FATAL_FAILURE(start());
  httplib::Client client("127.0.0.1", metrics_port(bench_.output()));
  const auto got = client.Get("/");
  ASSERT_TRUE(got);
  EXPECT_EQ(got->status, 200);
  EXPECT_EQ(got->get_header_value("Content-Type"), "text/html; charset=utf-8");
  EXPECT_THAT(got->get_header_value("Content-Security-Policy"),
              AllOf(HasSubstr("default-src 'none'; style-src 'sha256-"), Not(HasSubstr("unsafe"))));
  EXPECT_EQ(got->get_header_value("X-Content-Type-Options"), "nosniff");
  const auto head = client.Head("/");
  ASSERT_TRUE(head);
  EXPECT_EQ(head->status, 200);
  EXPECT_EQ(head->body, "");
  const auto posted = client.Post("/");
  ASSERT_TRUE(posted);
  EXPECT_EQ(posted->status, 405);
  const auto metrics = client.Get("/metrics");
  ASSERT_TRUE(metrics);
  EXPECT_FALSE(metrics->has_header("Content-Security-Policy"));
}

TEST_F(StatusPage, CanBeSwitchedOff) {
  ASSERT_NO_FATAL_FAILURE(start({"--status-page=false"}));
  httplib::Client client("127.0.0.1", metrics_port(bench_.output()));
  const auto answer = client.Get("/");
  ASSERT_TRUE(answer);
  EXPECT_EQ(answer->status, 404);
  const auto metrics = client.Get("/metrics");
  ASSERT_TRUE(metrics);
  EXPECT_EQ(metrics->status, 200);
}

TEST_F(StatusPage, AStandbyShowsWhatItSees_AndWhoLeads) {
  ASSERT_NO_FATAL_FAILURE(start({"--leader-elect", "--leader-elect-namespace=default"}));
  static const std::regex kIdentity("This replica leads: <bdi>([^<]+)</bdi>");
  std::smatch found;
  std::string of_leader;
  ASSERT_TRUE(eventually([&] {
    of_leader = page();
    return std::regex_search(of_leader, found, kIdentity);
  })) << of_leader;
  const auto standby = bench_.launch({"--leader-elect", "--leader-elect-namespace=default"});
  std::string seen;
  EXPECT_TRUE(eventually([&] {
    seen = page_of(standby->output());
    return shows(seen, {"This replica is a standby.", "<bdi>" + found[1].str() + "</bdi> leads.",
                        "<bdi>default/vllm</bdi>", "<bdi>vllm-0</bdi>"});
  })) << seen
      << standby->output();
}

std::string read_file(const std::string& path) {
  std::ifstream file(path);
  return {std::istreambuf_iterator<char>(file), {}};
}

// Debian's Chromium, headless: the document after layout, what its console said, and whom the page asked. It
// finds no host but this one, as by itself it calls home.
struct Browsed {
  int exit = -1;
  std::string dom, console;
  std::set<std::string> asked;
};

// Each line of the log is an event; requests of the page are kept apart from the browser's own by its site.
std::set<std::string> asked_by_page(const std::string& log) {
  static constexpr std::string_view kUrl = "\"url\":\"";
  std::set<std::string> out;
  std::ifstream file(log);
  for (std::string line; std::getline(file, line);) {
    const auto at = line.find(kUrl);
    if (at == std::string::npos ||
        line.find("\"network_isolation_key\":\"http://127.0.0.1 ") == std::string::npos)
      continue;
    const auto begin = at + kUrl.size();
    out.insert(line.substr(begin, line.find('"', begin) - begin));
  }
  return out;
}

Browsed browse(const std::string& url, const std::string& directory) {
  const std::string command = fmt::format(
      "HOME={0} timeout 120 chromium --headless --no-sandbox --disable-gpu --disable-dev-shm-usage "
      "--no-first-run --no-proxy-server --host-resolver-rules='MAP * ~NOTFOUND, EXCLUDE 127.0.0.1' "
      "--user-data-dir={0}/profile --enable-logging=stderr --log-net-log={0}/net.json --dump-dom {1} "
      ">{0}/dom 2>{0}/console",
      directory, url);
  Browsed out;
  out.exit = std::system(command.c_str());
  out.dom = read_file(directory + "/dom");
  out.console = read_file(directory + "/console");
  out.asked = asked_by_page(directory + "/net.json");
  return out;
}

TEST_F(StatusPage, ABrowserShowsItAndAsksForNothingElse) {
  if (std::system("command -v chromium >/dev/null 2>&1") != 0)
    GTEST_SKIP() << "there is no chromium here: scripts/setup.sh browser installs it";
  ASSERT_NO_FATAL_FAILURE(start());
  ASSERT_TRUE(comes_to_show({"<bdi>vllm-1</bdi>"}));
  const std::string url = fmt::format("http://127.0.0.1:{}/", metrics_port(bench_.output()));
  const Browsed seen = browse(url, bench_.directory());
  ASSERT_EQ(seen.exit, 0) << seen.console;
  EXPECT_THAT(seen.dom,
              AllOf(HasSubstr("<bdi>vllm-0</bdi>"), HasSubstr("<h2>Who leads</h2>"), HasSubstr("</table>")));
  EXPECT_THAT(seen.console, AllOf(Not(HasSubstr("Content Security Policy")), Not(HasSubstr("Refused to")),
                                  Not(HasSubstr("CONSOLE"))));
  EXPECT_THAT(seen.asked, testing::ElementsAre(url));
}

// The same browser, where there is something to see for the test above.
TEST(Browser, SaysWhatAPolicyForbids_AndWhatAPageAsksFor) {
  if (std::system("command -v chromium >/dev/null 2>&1") != 0)
    GTEST_SKIP() << "there is no chromium here: scripts/setup.sh browser installs it";
  httplib::Server server;
  server.Get("/", [](const httplib::Request&, httplib::Response& answer) {
    answer.set_header("Content-Security-Policy", "default-src 'none'; img-src *");
    answer.set_content("<!DOCTYPE html><style>p{color:red}</style><p>it</p><img src=/other>", "text/html");
  });
  const int port = server.bind_to_any_port("127.0.0.1");
  std::thread serving([&server] { server.listen_after_bind(); });
  std::string name = (std::filesystem::temp_directory_path() / "browser-test-XXXXXX").string();
  const std::string directory = ::mkdtemp(name.data());
  const std::string url = fmt::format("http://127.0.0.1:{}/", port);
  const Browsed seen = browse(url, directory);
  server.stop();
  serving.join();
  std::filesystem::remove_all(directory);
  EXPECT_THAT(seen.dom, HasSubstr("<p>it</p>"));
  EXPECT_THAT(seen.console, HasSubstr("Content Security Policy"));
  // It may ask for the page's icon besides.
  EXPECT_THAT(seen.asked, testing::IsSupersetOf({url, url + "other"}));
}

}  // namespace
}  // namespace poolwarden::integration

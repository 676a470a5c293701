// What HaproxySocket makes of whatever may be found at the other end.
#include "gateway/haproxy_socket.h"

#include "gateway/haproxy_answers.h"
#include "gateway/haproxy_plan.h"
#include "haproxy_process.h"

#include <atomic>
#include <fstream>
#include <functional>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <thread>
#include <unistd.h>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace poolwarden::gateway {
namespace {

using namespace std::chrono_literals;
using testing::HasSubstr;

// Listens on a path and does to each connection what it was told.
class Impostor {
 public:
  Impostor(const std::string& path, std::function<void(int)> act) : act_(std::move(act)) {
    listener_ = ::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    path.copy(address.sun_path, sizeof(address.sun_path) - 1);
    EXPECT_EQ(::bind(listener_, reinterpret_cast<sockaddr*>(&address), sizeof(address)), 0);
    EXPECT_EQ(::listen(listener_, 4), 0);
    thread_ = std::thread([this] {
      for (int fd; (fd = ::accept4(listener_, nullptr, nullptr, SOCK_CLOEXEC)) >= 0;) {
        act_(fd);
        ::close(fd);
      }
    });
  }
  ~Impostor() {
    ::shutdown(listener_, SHUT_RDWR);
    thread_.join();
    ::close(listener_);
  }

 private:
  std::function<void(int)> act_;
  int listener_ = -1;
  std::thread thread_;
};

void read_line(int fd) {
  char c = 0;
  while (::recv(fd, &c, 1, 0) == 1 && c != '\n') {
  }
}
void say(int fd, std::string_view bytes) {
  (void)::send(fd, bytes.data(), bytes.size(), MSG_NOSIGNAL);
}

kube::Error error_of(const std::string& path, std::chrono::milliseconds deadline = 2s) {
  auto answers = HaproxySocket(UnixPath{path}, deadline).ask({"show info"});
  EXPECT_FALSE(answers);
  return answers ? kube::Error{} : answers.error();
}

TEST(HaproxySocket, SocketAbsent_NamesTheMissingLine) {
  const TempDir dir;
  const std::string path = dir.file("admin.sock");
  const kube::Error error = error_of(path);
  EXPECT_EQ(error.cls, kube::ErrorClass::kRetry);
  EXPECT_THAT(error.message, HasSubstr("there is no HAProxy socket " + path));
  EXPECT_THAT(error.message, HasSubstr("'stats socket " + path + " mode 660 level admin'"));
}

TEST(HaproxySocket, SaysThatNobodyListens) {
  const TempDir dir;
  {
    const Impostor gone(dir.file("s"), [](int) {});
  }
  EXPECT_THAT(error_of(dir.file("s")).message, HasSubstr("nothing listens on " + dir.file("s")));
  std::ofstream(dir.file("file")) << "text";
  EXPECT_THAT(error_of(dir.file("file")).message, HasSubstr("nothing listens on " + dir.file("file")));
  auto refused = HaproxySocket(*parse_runtime_address(fresh_ip() + ":9")).ask({"show info"});
  ASSERT_FALSE(refused);
  EXPECT_THAT(refused.error().message, HasSubstr("nothing listens on 127."));
}

TEST(HaproxySocket, SaysThatItMayNot) {
  if (::geteuid() == 0) GTEST_SKIP() << "root may open every socket";
  const TempDir dir;
  const Impostor locked(dir.file("s"), [](int) {});
  ::chmod(dir.file("s").c_str(), 0);
  const kube::Error error = error_of(dir.file("s"));
  EXPECT_EQ(error.cls, kube::ErrorClass::kForbidden);
  EXPECT_THAT(error.message, HasSubstr("not permitted to open HAProxy's socket"));
}

TEST(HaproxySocket, GivesUpOnSilenceAtItsDeadline) {
  const TempDir dir;
  const Impostor silent(dir.file("s"), [](int fd) {
    read_line(fd);
    char c = 0;
    (void)::recv(fd, &c, 1, 0);  // until the client gives up
  });
  const auto start = std::chrono::steady_clock::now();
  EXPECT_THAT(error_of(dir.file("s"), 150ms).message, HasSubstr("did not answer within 150 ms"));
  EXPECT_LT(std::chrono::steady_clock::now() - start, 5s);
}

TEST(HaproxySocket, GivesUpOnDripsAtItsDeadline) {
  const TempDir dir;
  std::atomic<bool> over{false};
  const Impostor slow(dir.file("s"), [&](int fd) {
    while (!over) {
      say(fd, "x");
      std::this_thread::sleep_for(5ms);
    }
  });
  EXPECT_THAT(error_of(dir.file("s"), 150ms).message, HasSubstr("did not answer within 150 ms"));
  over = true;
}

TEST(HaproxySocket, RefusesEndlessAnswers) {
  const TempDir dir;
  const Impostor endless(dir.file("s"), [](int fd) {
    const std::string block(1 << 16, 'x');
    while (::send(fd, block.data(), block.size(), MSG_NOSIGNAL) > 0) {
    }
  });
  EXPECT_THAT(error_of(dir.file("s"), 30s).message, HasSubstr("cannot read from HAProxy"));
}

TEST(HaproxySocket, RefusesWhatIsNoAnswer) {
  const TempDir dir;
  {
    const Impostor closing(dir.file("a"), [](int) {});
    EXPECT_FALSE(error_of(dir.file("a")).message.empty());
  }
  {
    const Impostor http(dir.file("b"), [](int fd) {
      read_line(fd);
      say(fd, "HTTP/1.0 400 Bad Request\r\n\r\n<html>\xff\x00\r\n");
    });
    EXPECT_THAT(error_of(dir.file("b")).message, HasSubstr("whole answers to 1 commands"));
  }
}

TEST(HaproxySocket, SpeaksToTheRealOne) {
  HaproxyProcess haproxy;
  ASSERT_NO_FATAL_FAILURE(haproxy.start());
  HaproxySocket socket(UnixPath{haproxy.socket_path()});
  auto answers = socket.ask(snapshot_commands("pool"));
  ASSERT_TRUE(answers) << answers.error().message;
  const auto snapshot = parse_snapshot(*answers, "pool");
  ASSERT_TRUE(snapshot) << snapshot.error().message;
  ASSERT_EQ(snapshot->servers.size(), 64U);
  EXPECT_EQ(snapshot->servers[0],
            (ObservedServer{"pod-1", make_address("127.0.0.1", 1), AdminState::kMaintenance, 0}));
}

TEST(HaproxySocket, SplitsWhatIsTooLongForOneLine) {
  HaproxyProcess haproxy;
  ASSERT_NO_FATAL_FAILURE(haproxy.start());
  HaproxySocket socket(UnixPath{haproxy.socket_path()});
  std::vector<std::string> commands;
  for (int i = 1; i <= 64; ++i) {
    const std::string server = "set server pool/pod-" + std::to_string(i);
    commands.push_back(server + " addr fd00:1111:2222:3333:4444:5555:6666:" + std::to_string(i) +
                       " port 8000");
    commands.push_back(server + " state ready");
  }
  auto answers = socket.ask(commands);
  ASSERT_TRUE(answers) << answers.error().message;
  ASSERT_EQ(answers->size(), commands.size());
  for (std::size_t i = 0; i < answers->size(); ++i) {
    EXPECT_EQ((*answers)[i].starts_with("IP changed"), i % 2 == 0) << commands[i];
    EXPECT_EQ((*answers)[i].empty(), i % 2 == 1) << (*answers)[i];
  }
}

TEST(HaproxySocket, SaysWhichBackendIsMissing) {
  HaproxyProcess haproxy;
  ASSERT_NO_FATAL_FAILURE(haproxy.start());
  HaproxySocket socket(UnixPath{haproxy.socket_path()});
  auto answers = socket.ask(snapshot_commands("llama"));
  ASSERT_TRUE(answers) << answers.error().message;
  const auto snapshot = parse_snapshot(*answers, "llama");
  ASSERT_FALSE(snapshot);
  EXPECT_THAT(snapshot.error().message, HasSubstr("no backend named llama"));
}

TEST(HaproxySocket, SaysThatTheLevelIsTooLow) {
  const TempDir dir;
  std::ofstream(dir.file("low.cfg")) << "global\n  stats socket \"${GATEWAY_SOCKET}\" level user\n"
                                        "defaults\n  mode http\n  timeout connect 1s\n  timeout client 1s\n"
                                        "  timeout server 1s\n"
                                        "backend pool\n  server-template pod- 2 127.0.0.1:1 disabled\n";
  HaproxyProcess haproxy(dir.file("low.cfg"));
  ASSERT_NO_FATAL_FAILURE(haproxy.start());
  HaproxySocket socket(UnixPath{haproxy.socket_path()});
  const Command command{CommandKind::kAdmit, "pod-1", {}, "set server pool/pod-1 state ready"};
  const auto answers = socket.ask({command.text});
  ASSERT_TRUE(answers) << answers.error().message;
  const auto refusal = refusal_of(command, answers->front());
  ASSERT_TRUE(refusal);
  EXPECT_THAT(*refusal, HasSubstr("level admin"));
}

}  // namespace
}  // namespace poolwarden::gateway

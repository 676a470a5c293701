// Lists in pages, watches, bookmarks and the ways in which history is lost, as a real API server has them.
#include "kube/bounded_queue.h"
#include "kube/informer_runner.h"
#include "real_cluster.h"

#include <condition_variable>
#include <mutex>
#include <vector>

#include <fmt/format.h>

namespace poolwarden::test {
namespace {

using kube::ErrorClass;
using kube::kConfigMaps;

struct Note {
  std::string ns;
  std::string name;
  std::string uid;
  std::string resource_version;
  std::string text;  // data.text
};
struct NoteCodec {
  using Object = Note;
  static Note from_json(const json& object) {
    const json metadata = object.value("metadata", json::object());
    return {metadata.value("namespace", ""), metadata.value("name", ""), metadata.value("uid", ""),
            metadata.value("resourceVersion", ""), object.value("/data/text"_json_pointer, "")};
  }
};

void write_note(const std::string& name, const std::string& label, const std::string& text) {
  made(kConfigMaps, config_map(name, {{"text", text}}, label));
}
void change_note(const std::string& name, const std::string& text) {
  document(send(kube::merge_patch(kConfigMaps, ns(), name, json{{"data", {{"text", text}}}}.dump())));
}
void remove_note(const std::string& name) {
  document(send(kube::remove(kConfigMaps, ns(), name, {})));
}
// Moves the cluster's version on, with something nobody of us looks at.
void pass_time() {
  for (int i = 0; i < 10; ++i) {
    document(send(kube::merge_patch(kNamespaces, "", ns(),
                                    json{{"metadata", {{"labels", {{"time", std::to_string(i)}}}}}}.dump())));
  }
}

// An informer with its loop, on the caller's thread.
class Follower {
 public:
  explicit Follower(const std::string& label, kube::ReflectorOptions options = {})
      : informer_(options, kube::seeded_random(1)),
        runner_(
            client_, kConfigMaps, {ns(), "test=" + label, ""},
            [] { return std::chrono::steady_clock::now(); },
            [queue = queue_](auto input) {
              [[maybe_unused]] const bool in = queue->push(std::move(input));
            }) {
    run(informer_.start(std::chrono::steady_clock::now()));
  }
  ~Follower() { queue_->close(); }

  // Until `done` is so; false when it took too long.
  bool until(const std::function<bool()>& done, std::chrono::seconds patience = 60s) {
    const auto give_up = std::chrono::steady_clock::now() + patience;
    while (!done()) {
      if (std::chrono::steady_clock::now() >= give_up) return false;
      queue_->wait_until(std::min(give_up, *informer_.next_deadline()));
      std::vector<kube::InformerInput<Note>> inputs;
      queue_->try_pop_all(inputs);
      kube::Informer<NoteCodec>::Deltas deltas;
      for (auto& input : inputs) {
        if (const auto* watch = std::get_if<kube::InformerInput<Note>::WatchArrived>(&input.what)) {
          for (const auto& event : watch->events) {
            if (event.type == kube::WatchEventType::kBookmark) ++bookmarks;
          }
        }
        run(informer_.step(std::move(input), std::chrono::steady_clock::now(), deltas));
      }
      run(informer_.tick(std::chrono::steady_clock::now()));
      for (const auto& delta : deltas) {
        const bool gone = delta.kind == kube::DeltaKind::kDeleted;
        seen.push_back(fmt::format("{}{}", gone ? "-" : "+", gone ? delta.before->name : delta.after->name));
      }
    }
    return true;
  }
  std::string text(const std::string& name) const {
    const auto note = informer_.store().find(ns(), name);
    return note ? note->text : "";
  }
  const kube::Informer<NoteCodec>& informer() const { return informer_; }
  bool was(kube::RestartReason reason) const {
    return std::find(restarts.begin(), restarts.end(), reason) != restarts.end();
  }

  int pages = 0;
  int watches = 0;
  int bookmarks = 0;
  std::vector<kube::RestartReason> restarts;
  std::vector<std::string> seen;  // "+name" or "-name", in order

 private:
  void run(const std::vector<kube::ReflectorAction>& actions) {
    for (const auto& action : actions) {
      pages += std::holds_alternative<kube::StartList>(action) ? 1 : 0;
      watches += std::holds_alternative<kube::StartWatch>(action) ? 1 : 0;
      if (const auto* restart = std::get_if<kube::Restarted>(&action)) restarts.push_back(restart->reason);
    }
    runner_.run(actions);
  }

  std::shared_ptr<kube::BoundedQueue<kube::InformerInput<Note>>> queue_ =
      std::make_shared<kube::BoundedQueue<kube::InformerInput<Note>>>(1000);
  kube::Client client_{Cluster::instance().transport()};
  kube::Informer<NoteCodec> informer_;
  kube::InformerRunner<NoteCodec> runner_;
};

TEST(RealInformer, ListsInPagesAndThenFollows) {
  for (int i = 0; i < 7; ++i) write_note(fmt::format("page-{}", i), "pages", "first");
  write_note("another", "else", "no concern of ours");
  kube::ReflectorOptions options;
  options.page_limit = 3;
  Follower follower("pages", options);
  ASSERT_TRUE(follower.until([&] { return follower.informer().synced(); }));
  EXPECT_EQ(follower.informer().store().size(), 7U);
  EXPECT_EQ(follower.pages, 3);
  EXPECT_TRUE(follower.restarts.empty()) << "every page is of one version";

  follower.seen.clear();
  change_note("page-0", "second");
  remove_note("page-1");
  write_note("page-7", "pages", "new");
  ASSERT_TRUE(follower.until([&] { return follower.text("page-7") == "new"; }));
  EXPECT_EQ(follower.text("page-0"), "second");
  EXPECT_THAT(follower.seen, ::testing::ElementsAre("+page-0", "-page-1", "+page-7"));
  EXPECT_EQ(follower.watches, 1);
}

TEST(RealInformer, ABookmarkMovesAQuietWatchOn) {
  write_note("quiet", "bookmarks", "x");
  kube::ReflectorOptions options;
  // The API server sends one about two seconds before it ends a watch, and another every minute.
  options.watch_timeout_min = options.watch_timeout_max = 8s;
  Follower follower("bookmarks", options);
  ASSERT_TRUE(follower.until([&] { return follower.informer().synced(); }));
  // A bookmark comes only when something of this very resource has happened since the server began this
  // watch: of what is older than that it knows that nobody here selects it.
  for (int i = 0; i < 90 && follower.bookmarks == 0; ++i) {
    write_note(fmt::format("unseen-{}", i), "else", "moves ConfigMaps on");
    follower.until([&] { return follower.bookmarks > 0; }, 1s);
  }
  ASSERT_GT(follower.bookmarks, 0);
  const int watches = follower.watches;
  ASSERT_TRUE(follower.until([&] { return follower.watches > watches; }));
  EXPECT_TRUE(follower.was(kube::RestartReason::kClosed));
  EXPECT_FALSE(follower.was(kube::RestartReason::kExpired));
  EXPECT_EQ(follower.pages, 1) << "a watch that ends by itself is no reason to list again";
}

// Waits for the end of a watch.
class End final : public kube::WatchHandler {
 public:
  void on_open(kube::Encoding) override {}
  void on_data(std::string_view chunk) override {
    const std::lock_guard lock(mutex_);
    if (!splitter_.feed(chunk, [&](std::string_view line) { lines_.emplace_back(line); })) return;
    changed_.notify_all();
  }
  void on_end(std::optional<kube::Error> error) override {
    const std::lock_guard lock(mutex_);
    ended_ = true;
    error_ = std::move(error);
    changed_.notify_all();
  }
  // How a watch says that its version is gone: 410 at connect, or an ERROR event.
  std::optional<kube::Error> failure(const kube::Call& call) {
    std::unique_lock lock(mutex_);
    changed_.wait_for(lock, 30s, [&] { return ended_ || !lines_.empty(); });
    if (lines_.empty()) return error_;
    const auto line = kube::decode_watch_line<NoteCodec>(lines_.front());
    if (!line || !std::holds_alternative<kube::WatchFailure>(*line)) return std::nullopt;
    return kube::status_error(call, std::get<kube::WatchFailure>(*line));
  }

 private:
  std::mutex mutex_;
  std::condition_variable changed_;
  kube::LineSplitter splitter_;
  std::vector<std::string> lines_;
  bool ended_ = false;
  std::optional<kube::Error> error_;
};

kube::Call watch_from(const std::string& version) {
  kube::Call call;
  call.verb = kube::Verb::kWatch;
  call.type = kConfigMaps;
  call.ns = ns();
  call.resource_version = version;
  call.watch_timeout = 20s;
  return call;
}

std::optional<kube::Error> failure_of_watch(const std::string& version) {
  kube::Client client(Cluster::instance().transport());
  const auto end = std::make_shared<End>();
  const kube::Call call = watch_from(version);
  const auto stream = client.watch(call, 30s, end);
  return end->failure(call);
}

TEST(RealHistory, AWatchFromTheBeginningOfTimeMustListAgain) {
  // A server that was there at the beginning remembers it for as long as its cache is not full.
  if (!Cluster::forget_history()) GTEST_SKIP() << "POOLWARDEN_TEST_FORGET_HISTORY is not set";
  const auto error = failure_of_watch("1");
  ASSERT_TRUE(error);
  EXPECT_EQ(error->cls, ErrorClass::kRelist) << error->message;
  EXPECT_EQ(error->http_status, 410) << error->message;
}

// Why a watch that never tells anything is followed by a list: a version that the server has yet to reach, as
// after a restore of etcd, is not refused. There is not even a bookmark.
TEST(RealHistory, AWatchFromTheFutureIsAcceptedAndSilent) {
  EXPECT_FALSE(failure_of_watch("9000000000000000000"));
}

TEST(RealHistory, ForgottenUnderAFollowerCostsOneNewList) {
  write_note("before", "history", "1");
  Follower follower("history");
  ASSERT_TRUE(follower.until([&] { return follower.informer().synced(); }));
  pass_time();
  if (!Cluster::forget_history()) GTEST_SKIP() << "POOLWARDEN_TEST_FORGET_HISTORY is not set";
  remove_note("before");
  write_note("after", "history", "2");
  ASSERT_TRUE(follower.until([&] { return follower.text("after") == "2"; }, 120s));
  EXPECT_TRUE(follower.was(kube::RestartReason::kExpired));
  EXPECT_EQ(follower.informer().store().size(), 1U) << "what was deleted meanwhile is found";
  EXPECT_THAT(follower.seen, ::testing::ElementsAre("+before", "-before", "+after"));
  EXPECT_GE(follower.pages, 2);
  change_note("after", "3");
  EXPECT_TRUE(follower.until([&] { return follower.text("after") == "3"; }));
}

TEST(RealHistory, ForgottenBetweenTwoPagesMeansANewList) {
  for (int i = 0; i < 4; ++i) write_note(fmt::format("mid-{}", i), "mid-list", "x");
  kube::Call list;
  list.verb = kube::Verb::kList;
  list.type = kConfigMaps;
  list.ns = ns();
  list.label_selector = "test=mid-list";
  list.limit = 2;
  const json first = document(send(list));
  list.continue_token = first.at("/metadata/continue"_json_pointer);
  pass_time();
  if (!Cluster::forget_history()) GTEST_SKIP() << "POOLWARDEN_TEST_FORGET_HISTORY is not set";
  const auto second = send(list);
  ASSERT_FALSE(second);
  EXPECT_EQ(second.error().cls, ErrorClass::kRelist) << second.error().message;
  EXPECT_EQ(second.error().http_status, 410) << second.error().message;
}

}  // namespace
}  // namespace poolwarden::test

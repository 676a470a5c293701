// Keeps a cache in step with the API server: list page by page, watch from there, again for ever.
//
// A pure state machine. What came goes in as a ReflectorInput with the time. What to do comes out as actions,
// and as what to do with the decoded objects (CacheEffect). No I/O, no clock, no objects: it knows their
// resource versions only.
//
// Promises: there is always a next deadline once started. One request or watch is under way at a time. An
// answer to a request that was given up changes nothing. Nothing is retried without a delay except after a
// spell in which data flowed, and a page that was too long. And it never gives up.
//
// Lists are consistent reads: resourceVersion unset, limit 500. They cannot come from a server that lags
// behind what was seen already. So a relist cannot go back in time, and there is no "too large resource
// version" to fall back from. With resourceVersion=0 servers ignore `limit` and answer everything at once.
// "NotOlderThan" is paged differently from version to version. One operator's relists are few, and since
// Kubernetes 1.31 they are answered from the server's cache.
// https://kubernetes.io/docs/reference/using-api/api-concepts/#resource-versions
//
// A page that is longer than the transport takes is asked for again at once, with half the limit, and so on
// down to one object. What was listed before it stays. A short page doubles the limit of the next, up to
// where it began. So long objects cost time on their own pages only, and any list comes to its end. A
// continue token goes with any limit:
// https://github.com/kubernetes/enhancements/tree/master/keps/sig-api-machinery/365-paginated-lists
//
// An expired version is no sign of trouble: after an API server has restarted, every watch's is. The first
// list after it is made after the shortest delay; if that is followed by another, by the sequence of delays.
//
// Nevertheless a list older than what was seen is refused kStaleListLimit times in a row, which outlasts a
// lagging replica. After that, history was rewound (etcd restored from a backup) and the list is the truth.
// Later pages must be of the first one's version, as the API promises, or the list is made anew.
//
// A resource version that is gone (410) shows in three ways, and all lead to a new list: an ERROR event
// inside a 200, HTTP 410 at connect, and a 200 that ends at once without an event (kEmptyWatchLimit times). A
// version that is too new for the server leads to a list, too. A server whose history was rewound accepts
// such a watch and says nothing at all until its versions get there (seen on 1.36). So a list follows if a
// watch was given up for silence and had never told anything, not even a bookmark. Refused connections, 429
// and 5xx lead to no list: the watch goes on where it was, after a delay.
//
// Owned and used by one thread.
#pragma once

#include "kube/backoff.h"
#include "kube/random.h"
#include "kube/result.h"
#include "kube/time.h"

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

namespace poolwarden::kube {

struct ReflectorOptions {
  int page_limit = 500;
  // Of an answer's bytes: a page that is no longer lets the next be twice as long. A quarter of what the
  // transport takes.
  std::size_t short_page = 16u << 20;
  // Of a list that has no end: several times what a large cluster has. A page without objects counts as one.
  std::size_t max_objects = 1'000'000;
  std::chrono::seconds list_deadline{30};  // one page; "too large resource version" takes servers 3 s to say
  // The server ends the watch after a random time between these, so that watches do not end together.
  std::chrono::seconds watch_timeout_min{300};
  std::chrono::seconds watch_timeout_max{600};
  // Silence longer than this is a dead connection: servers send bookmarks about once a minute.
  std::chrono::seconds idle_timeout{150};
  // How long after a transport's own deadline its answer is believed lost.
  std::chrono::seconds grace{10};
  std::chrono::seconds forbidden_retry{30};     // half of it to all of it
  std::chrono::seconds retry_after_limit{120};  // however long the server asks for
  BackoffOptions backoff;
};

struct StartList {
  std::uint64_t attempt = 0;
  std::string continue_token;
  int limit = 0;
  std::chrono::milliseconds deadline{0};

  bool operator==(const StartList&) const = default;
};
struct StartWatch {
  std::uint64_t attempt = 0;
  std::string resource_version;
  std::chrono::seconds timeout{0};            // asked of the server
  std::chrono::milliseconds idle_timeout{0};  // kept by the transport
  std::chrono::milliseconds deadline{0};      // until the head has come

  bool operator==(const StartWatch&) const = default;
};
// The watch of that attempt is over for us: let go of it. It may have ended by itself.
struct CancelStream {
  std::uint64_t attempt = 0;

  bool operator==(const CancelStream&) const = default;
};

enum class RestartReason : std::uint8_t {
  kClosed,     // the server ended a watch that had run, as it does every five to ten minutes
  kShort,      // it ended within a second
  kExpired,    // the resource version is gone or too new
  kFailed,     // refused, cut, time-out, 429, 5xx, unreadable
  kForbidden,  // 401, 403
  kStale,      // a list older than what was seen before, or a page of another list
  kLost,       // no answer at all, long after its deadline
};
std::string_view to_string(RestartReason reason);  // "closed", for the metric's label

// A list or a watch did not go on, and will be made again.
struct Restarted {
  RestartReason reason = RestartReason::kFailed;

  bool operator==(const Restarted&) const = default;
};
using ReflectorAction = std::variant<StartList, StartWatch, CancelStream, Restarted>;

// What to do with the objects that came with the input.
enum class CacheEffect : std::uint8_t {
  kNone,           // nothing came, or it does not count
  kStage,          // a page, with more to come: put it aside
  kSwapIn,         // the last page: what was put aside is now the truth
  kSwapInRewound,  // the same, and whatever was seen before is of another history
  kApply,          // watch events
  kDropStage,      // forget what was put aside
};

struct ReflectorStep {
  std::vector<ReflectorAction> actions;
  CacheEffect cache = CacheEffect::kNone;
};

struct ReflectorInput {
  struct Start {};
  struct PageListed {
    std::string resource_version;
    std::string continue_token;
    std::size_t objects = 0;
    std::size_t bytes = 0;  // of the answer
  };
  struct ListFailed {
    Error error;
  };
  struct WatchOpened {};
  struct WatchData {
    std::string resource_version;  // of the last event; empty: no event, only bytes
  };
  struct WatchEnded {
    std::optional<Error> error;  // an ERROR event's, too; nothing: a clean EOF
  };
  struct Tick {};
  struct ServerIsBack {};     // somebody else's request was answered, after nobody's was
  std::uint64_t attempt = 0;  // which action this answers; without meaning for Start, Tick and ServerIsBack
  std::variant<Start, PageListed, ListFailed, WatchOpened, WatchData, WatchEnded, Tick, ServerIsBack> what;
};

class Reflector {
 public:
  static constexpr int kStaleListLimit = 8;
  static constexpr int kEmptyWatchLimit = 3;
  static constexpr Duration kShortWatch = std::chrono::seconds(1);

  // How far a list has come.
  struct ListProgress {
    std::string continue_token;    // empty: from the beginning
    std::string resource_version;  // of its first page
    int pages = 0;
    std::size_t objects = 0;
    bool rewound = false;
  };

  // Transitions; every other (state, input) pair changes nothing:
  //   Idle       -> Listing     Start
  //   Listing    -> Listing     a page with a continue token
  //              -> Connecting  the last page
  //              -> Waiting     failed, stale or lost; goes on at the same page only after a passing failure
  //   Connecting -> Watching    opened, or data
  //              -> Waiting     failed, ended or lost; to list again if the version is gone, or the request
  //                             is wrong
  //   Watching   -> Watching    data
  //              -> Connecting  ended after more than a second, or failed after a healthy spell
  //              -> Listing     the version is gone, after a healthy spell
  //              -> Waiting     any other end, or silence; to list again if it never told anything
  //   Waiting    -> Listing, Connecting  the delay is over
  //              -> Waiting     shorter, if it was for want of any answer and the server is back
  struct Idle {};
  struct Listing {
    std::uint64_t attempt = 0;
    ListProgress progress;
    TimePoint deadline{};
  };
  struct Connecting {
    std::uint64_t attempt = 0;
    TimePoint deadline{};
  };
  struct Watching {
    std::uint64_t attempt = 0;
    TimePoint opened{};
    bool had_event = false;
    TimePoint deadline{};
  };
  struct Waiting {
    TimePoint until{};
    std::optional<ListProgress> list;  // nothing: watch
  };
  using State = std::variant<Idle, Listing, Connecting, Watching, Waiting>;

  Reflector(ReflectorOptions options, RandomSource random);

  [[nodiscard]] ReflectorStep step(const ReflectorInput& input, TimePoint now);
  std::optional<TimePoint> next_deadline() const;  // when to step with a Tick; nothing before Start

  const State& state() const { return state_; }
  // True while an answer to that attempt counts.
  bool awaits(std::uint64_t attempt) const;
  // The newest version seen from a list or a watch.
  const std::string& resource_version() const { return resource_version_; }
  const std::optional<Error>& last_error() const { return last_error_; }

 private:
  void start_list(ListProgress progress, TimePoint now, ReflectorStep& out);
  void start_watch(TimePoint now, ReflectorStep& out);
  void wait(Duration delay, std::optional<ListProgress> list, TimePoint now);
  Duration delay_after(const Error& error);
  Duration soon() const;

  void on_page(const Listing& listing, const ReflectorInput::PageListed& page, TimePoint now,
               ReflectorStep& out);
  void on_list_failed(const Listing& listing, const Error& error, RestartReason reason, TimePoint now,
                      ReflectorStep& out);
  void on_watch_data(const ReflectorInput::WatchData& data, TimePoint now, ReflectorStep& out);
  void on_watch_ended(const std::optional<Error>& error, TimePoint now, ReflectorStep& out);
  void on_watch_closed(const Watching& watching, TimePoint now, ReflectorStep& out);
  void on_watch_failed(const Error& error, RestartReason reason, TimePoint now, ReflectorStep& out);
  void on_tick(TimePoint now, ReflectorStep& out);
  void on_server_back(TimePoint now);

  ReflectorOptions options_;
  RandomSource random_;
  Backoff backoff_;
  State state_;
  std::uint64_t last_attempt_ = 0;
  std::string resource_version_;
  std::optional<Error> last_error_;
  int page_limit_ = 0;     // of the next page
  int stale_lists_ = 0;    // in a row
  int empty_watches_ = 0;  // in a row
  int expired_ = 0;        // watches in a row whose version was gone
};

}  // namespace poolwarden::kube

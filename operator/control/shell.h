// Carries the core's effects out over a Transport and posts what comes back, decoded, as inputs.
//
// The real operator runs it between a loop thread and cpprestsdk; a simulation between a virtual clock and an
// API server in memory. Owned by the loop; perform() is called on its thread. `post` and `now` are called on
// threads of the transport, also after the shell is gone, until the transport is.
#pragma once

#include "control/effects.h"
#include "kube/client.h"
#include "kube/informer_runner.h"

#include <functional>
#include <string>
#include <utility>

namespace poolwarden::control {

// The watches of all kinds.
template <class Kind>
struct KindRunner {
  template <class Clock, class Post>
  KindRunner(kube::Client& client, const std::string& ns, const Clock& now, const Post& post)
      : runner(client, Kind::type(), scope_of<Kind>(ns), now,
               [post](auto input) { post(KindInput<Kind>{std::move(input)}); }) {}
  kube::InformerRunner<typename Kind::Codec> runner;
};

template <class... Kinds>
class RunnerTable : private KindRunner<Kinds>... {
 public:
  template <class Clock, class Post>
  RunnerTable(kube::Client& client, const std::string& ns, const Clock& now, const Post& post)
      : KindRunner<Kinds>(client, ns, now, post)... {}

  void run(const WatchWork& work) {
    ((WatchedKinds::index<Kinds>() == work.kind ? KindRunner<Kinds>::runner.run({work.action}) : void()),
     ...);
  }
};
template <class Kind>
using Itself = Kind;

class Shell {
 public:
  using Post = std::function<void(Input)>;
  using Clock = std::function<kube::TimePoint()>;

  // Asks an engine for its load; calls back once, from any thread, also after the shell is gone.
  using ReadLoad = std::function<void(engine::LoadRequest, engine::LoadReader::Callback)>;

  // `ns`: the one namespace to look after, or empty for all. The transport must outlive the shell.
  Shell(kube::Transport& transport, const std::string& ns, Clock now, Post post, ReadLoad read_load);

  // Takes the calls out of `effects`: their bodies may be large. The rest stays as it is. A call has the time
  // that is left until it expires.
  void perform(Effects& effects);

 private:
  void perform(const WatchWork& work);
  void perform(Send send);
  void perform(const LoadRead& read);

  kube::Client client_;
  Clock now_;
  Post post_;
  ReadLoad read_load_;
  WatchedKinds::Apply<RunnerTable, Itself> runners_;
};

}  // namespace poolwarden::control

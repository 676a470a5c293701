// An informer with the runner that carries out what it asks for: one watch of a program that has a few.
// (The operator's kinds are told apart at compile time: control/feed_table.h and control/shell.h.)
//
// Owned and used by one thread, the loop. `now` and `post` are called as informer_runner.h says.
#pragma once

#include "kube/informer.h"
#include "kube/informer_runner.h"

#include <optional>
#include <utility>
#include <vector>

namespace poolwarden::kube {

template <ObjectCodec Codec>
class InformerFeed {
 public:
  using Runner = InformerRunner<Codec>;
  using Input = typename Runner::Input;
  using Deltas = typename Informer<Codec>::Deltas;
  using Actions = std::vector<ReflectorAction>;

  InformerFeed(ReflectorOptions options, RandomSource random, Client& client, const ResourceType& type,
               WatchScope scope, typename Runner::Clock now, typename Runner::Post post)
      : informer_(options, std::move(random)),
        runner_(client, type, std::move(scope), std::move(now), std::move(post)) {}

  const Informer<Codec>& informer() const { return informer_; }
  std::optional<TimePoint> next_deadline() const { return informer_.next_deadline(); }

  // Each returns what was carried out, for whoever counts it.
  Actions start(TimePoint now) { return carry_out(informer_.start(now)); }
  Actions step(Input input, TimePoint now, Deltas& deltas) {
    return carry_out(informer_.step(std::move(input), now, deltas));
  }
  // Does nothing before the deadline.
  Actions tick(TimePoint now) {
    const auto deadline = next_deadline();
    return deadline && now >= *deadline ? carry_out(informer_.tick(now)) : Actions{};
  }

 private:
  Actions carry_out(Actions actions) {
    runner_.run(actions);
    return actions;
  }

  Informer<Codec> informer_;
  Runner runner_;
};

}  // namespace poolwarden::kube

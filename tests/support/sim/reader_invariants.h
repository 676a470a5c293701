// What must hold of a reader of a list at every moment of a simulation, judged from what the API server had
// and up to which version the reader's watches have told. The list's form is used, and nothing that reads it.
//
//   - an endpoint that the reader has is on a shard that counts, as that shard last was for the reader: a
//     withdrawal that has been told is carried out, and nothing comes back
//   - an endpoint that leaves the reader has left the shard that it was on, and was withdrawn: a shard that
//   is
//     missing, broken or told late takes nobody along
//
// A violation is remembered as text, with the time and the pod.
#pragma once

#include "support/apiserver/model.h"
#include "support/sim/list_reader.h"

#include <cstdint>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <vector>

namespace poolwarden::sim {

// What a shard says.
struct ShardDocument {
  using Pods = std::map<std::string, std::string>;  // uid -> name, of ready endpoints

  std::int32_t shards = 1;
  Pods pods;
};

class ReaderInvariants {
 public:
  // Listens to the reader.
  ReaderInvariants(VirtualTime& time, const apiserver::Model& model, ListReader& reader)
      : time_(time), model_(model), reader_(reader) {
    reader_.set_listener([this] { reader_turned(); });
  }
  ReaderInvariants(const ReaderInvariants&) = delete;
  ReaderInvariants& operator=(const ReaderInvariants&) = delete;

  // To be called after each change, with the plurals that changed; tells the reader of it.
  void changed(const std::set<std::string>& plurals) {
    if (plurals.contains("configmaps")) look_at_shards();
    reader_.model_changed();
  }

  const std::vector<std::string>& violations() const { return violations_; }
  // How often the reader's list changed while it had several shards: whether anything was tried.
  std::size_t changes() const { return changes_; }
  // Pods that the reader has as ready, each as often as it has it.
  std::multiset<std::string> pods() const;

 private:
  using Pods = ShardDocument::Pods;
  // A shard's readable states, by version: one that is missing or broken leaves readers what was there.
  using History = std::map<std::uint64_t, ShardDocument>;

  struct State {
    bool there = false;
    std::uint64_t version = 0;
    std::optional<ShardDocument> document;
  };

  void look_at_shards();
  void reader_turned();
  State look_at(std::int32_t shard) const;
  const ShardDocument* as_told(std::int32_t shard) const;
  Pods all_as_told() const;
  void violate(const std::string& pod, std::string_view what);

  VirtualTime& time_;
  const apiserver::Model& model_;
  ListReader& reader_;
  std::map<std::int32_t, History> history_;
  std::map<std::string, std::uint64_t> published_since_;  // uid -> version, of those that are published now
  Pods before_;                                           // what the reader had after its last turn
  std::uint64_t told_before_ = 0;                         // by both watches, then
  std::uint64_t starts_ = 0;
  std::size_t changes_ = 0;
  std::vector<std::string> violations_;
};

}  // namespace poolwarden::sim

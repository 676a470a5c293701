// At which revisions of a list a pod was seen to be off it: whoever confirms those sends the pod nothing.
//
// Noted when a pass first sees the pod off the list, and forgotten when it is back, drains no more, or is
// gone. What a new operator finds off a list it notes at that list's present revisions.
//
// Owned by the loop.
#pragma once

#include "kube/object_key.h"
#include "pool/list_consumers.h"

#include <map>
#include <string>
#include <utility>

namespace poolwarden::control {

class OffListMarks {
 public:
  void begin_pass() { last_ = std::exchange(marks_, {}); }
  // The pod is off the list of that pool, which now is at `now`: the revisions from which it is. To be asked
  // in each pass of the pod's own pool; the reference is good until the pass ends.
  const pool::ListRevisions& mark(const std::string& uid, const kube::ObjectKey& pool,
                                  pool::ListRevisions now) {
    auto known = last_.extract({uid, pool});
    if (known) return marks_.insert(std::move(known)).position->second;
    return marks_.insert_or_assign({uid, pool}, std::move(now)).first->second;
  }
  // What was not asked for is forgotten.
  void end_pass() { last_.clear(); }

 private:
  using Marks = std::map<std::pair<std::string, kube::ObjectKey>, pool::ListRevisions>;
  Marks marks_;
  Marks last_;
};

}  // namespace poolwarden::control

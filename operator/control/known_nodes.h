// Nodes by name, and what it means that one is not among them.
//
// A node that is not in the cache is gone if it was seen to go. It is gone as well if the cache is as new as
// the pod that is bound to it: pods are bound to nodes that are there, so a cache of that time would have it.
// In all other cases its absence says nothing. The watch of nodes may be broken, refused or behind that of
// pods, and the node may be new.
//
// Owned by the loop.
#pragma once

#include "control/feed_table.h"
#include "pool/membership.h"

#include <functional>
#include <set>
#include <string>

namespace poolwarden::control {

class KnownNodes {
 public:
  explicit KnownNodes(const FeedTable& feeds) : feeds_(feeds) {}

  void changed(const kube::Delta<api::Node>& delta);
  // Null while nodes were never read. Of a node whose absence says nothing, one that is well. Good while
  // this lives.
  pool::NodeLookup lookup();
  // Forgets gone nodes on which no pod is left.
  void sweep();

 private:
  const api::Node* find(const api::Pod& pod);
  bool is_gone(const api::Pod& pod);

  const FeedTable& feeds_;
  // Also those that were found to be gone: what is written on a pod later makes it newer than the cache.
  std::set<std::string, std::less<>> gone_;
};

}  // namespace poolwarden::control

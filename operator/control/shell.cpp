#include "control/shell.h"

#include "api/names.h"
#include "kube/watch_decoder.h"
#include "publish/calls.h"

#include <algorithm>
#include <chrono>
#include <utility>

#include <fmt/format.h>

namespace poolwarden::control {
namespace {

template <class Codec>
kube::Result<Answer> decode(const kube::Body& body) {
  auto object = kube::decode_object<Codec>(body.text, body.encoding);
  if (!object) return tl::unexpected(std::move(object.error()));
  return Answer(std::move(*object));
}

kube::Result<Answer> decode(Expect expect, kube::Body body) {
  switch (expect) {
    case Expect::kPod:
      return decode<api::PodCodec>(body);
    case Expect::kConfigMap:
      return decode<api::ConfigMapCodec>(body);
    case Expect::kService:
      return decode<api::ServiceCodec>(body);
    case Expect::kPool:
      return decode<api::PoolCodec>(body);
    case Expect::kBudget:
      return decode<api::DisruptionBudgetCodec>(body);
    case Expect::kSecret:
      return decode<api::SecretCodec>(body);
    case Expect::kEndpointSlice:
      return decode<api::EndpointSliceCodec>(body);
    case Expect::kText:
      break;
  }
  return Answer(std::move(body.text));
}

// A text goes to those who read JSON, a pool has nothing else, and Secrets are read too rarely to matter.
kube::Encoding preferred(Expect expect) {
  const bool json = expect == Expect::kText || expect == Expect::kPool || expect == Expect::kSecret;
  return json ? kube::Encoding::kJson : kube::Encoding::kProtobuf;
}

// Zero: it is not sent at all. In whole seconds, so that the errors of two calls read alike, whatever their
// steps took.
std::chrono::milliseconds time_left(kube::TimePoint until, kube::TimePoint now) {
  const auto left = std::chrono::floor<std::chrono::seconds>(until - now);
  return std::max(left, std::chrono::seconds::zero());
}

}  // namespace

Shell::Shell(kube::Transport& transport, const std::string& ns, Clock now, Post post, ReadLoad read_load)
    : client_(transport),
      now_(std::move(now)),
      post_(std::move(post)),
      read_load_(std::move(read_load)),
      runners_(client_, ns, now_, post_) {}

void Shell::perform(Effects& effects) {
  for (Send& send : effects.sends) perform(std::move(send));
  effects.sends.clear();
  for (const WatchWork& work : effects.watches) perform(work);
  for (const LoadRead& read : effects.load_reads) perform(read);
}

void Shell::perform(const LoadRead& read) {
  read_load_(read.request,
             [post = post_, uid = read.pod_uid, pool = read.pool,
              all_ports = read.asks_all_ports](tl::expected<engine::Load, engine::NoLoad> load) {
               LoadArrived arrived{uid, pool, std::nullopt, {}};
               if (load) {
                 arrived.load = pool::Load{load->in_flight, load->cache_usage, load->work};
               } else {
                 arrived.problem = std::move(load.error().why);
                 arrived.refused = load.error().refused && all_ports;
                 arrived.refused_key = load.error().refused_key;
               }
               post(std::move(arrived));
             });
}

void Shell::perform(Send send) {
  if (send.expires) send.call.deadline = std::min(send.call.deadline, time_left(*send.expires, now_()));
  client_.send(std::move(send.call), preferred(send.expect),
               [post = post_, id = send.id, expect = send.expect](kube::Result<kube::Body> body) {
                 CallAnswered answered{id, Answer()};
                 if (body) {
                   answered.answer = decode(expect, std::move(*body));
                 } else {
                   answered.answer = tl::unexpected(std::move(body.error()));
                 }
                 post(std::move(answered));
               });
}

void Shell::perform(const WatchWork& work) {
  runners_.run(work);
}

}  // namespace poolwarden::control

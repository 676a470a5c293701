#include "control/shell.h"

#include "api/names.h"
#include "kube/watch_decoder.h"
#include "publish/calls.h"

#include <utility>

#include <fmt/format.h>

namespace poolwarden::control {
namespace {

template <class Codec>
kube::Result<Answer> decode(const std::string& body) {
  auto object = kube::decode_object<Codec>(body);
  if (!object) return tl::unexpected(std::move(object.error()));
  return Answer(std::move(*object));
}

kube::Result<Answer> decode(Expect expect, std::string body) {
  switch (expect) {
    case Expect::kPod:
      return decode<api::PodCodec>(body);
    case Expect::kConfigMap:
      return decode<api::ConfigMapCodec>(body);
    case Expect::kService:
      return decode<api::ServiceCodec>(body);
    case Expect::kPool:
      return decode<api::PoolCodec>(body);
    case Expect::kText:
      break;
  }
  return Answer(std::move(body));
}

}  // namespace

Shell::Shell(kube::Transport& transport, const std::string& ns, Clock now, Post post)
    : client_(transport),
      post_(std::move(post)),
      pools_(client_, publish::kInferencePools, {ns, "", ""}, now, post_),
      config_maps_(client_, kube::kConfigMaps,
                   {ns, fmt::format("{}={}", api::kManagedByLabel, api::kManagedByValue), ""}, now, post_),
      pods_(client_, kube::kPods, {ns, "", ""}, now, post_),
      deployments_(client_, kube::kDeployments, {ns, "", ""}, now, post_),
      services_(client_, kube::kServices, {ns, "", ""}, now, post_),
      nodes_(client_, kube::kNodes, {}, now, post_),
      autoscalers_(client_, kube::kHorizontalPodAutoscalers, {ns, "", ""}, now, post_) {}

void Shell::perform(const Effects& effects) {
  for (const Send& send : effects.sends) perform(send);
  for (const WatchWork& work : effects.watches) perform(work);
}

void Shell::perform(const Send& send) {
  client_.send(send.call, [post = post_, id = send.id, expect = send.expect](kube::Result<std::string> body) {
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
  switch (work.feed) {
    case Feed::kPools:
      return pools_.run({work.action});
    case Feed::kConfigMaps:
      return config_maps_.run({work.action});
    case Feed::kPods:
      return pods_.run({work.action});
    case Feed::kDeployments:
      return deployments_.run({work.action});
    case Feed::kServices:
      return services_.run({work.action});
    case Feed::kNodes:
      return nodes_.run({work.action});
    case Feed::kAutoscalers:
      return autoscalers_.run({work.action});
  }
}

}  // namespace poolwarden::control

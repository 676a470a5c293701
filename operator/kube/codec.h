// What the cache asks of a kind of object and of the codec that reads it. Checked where a template is given
// one, so that a codec that lacks something is named at its own line.
//
// A codec is a class with
//
//   using Object = ...;                                    the value it makes (KubeObject)
//
// and at least one reader of JSON:
//
//   static Object from_json(const nlohmann::json&);        from a document: for kinds that are few or small
//   class Sax { ...tokens of one object...; Object take(); };   from tokens, without a document
//
// and, for a kind that is built into Kubernetes, one of protobuf:
//
//   static std::optional<Object> from_protobuf(std::string_view message);   nothing: the bytes are broken
//
// None of them throws, whatever comes. What is missing or of another type reads as empty, in JSON as in
// protobuf, and what is not kept is passed over. Both readers give the same value for the same object.
#pragma once

#include <concepts>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include <nlohmann/json_fwd.hpp>

namespace poolwarden::kube {

// Identity, and the version it is of. Empty where the object came without.
template <class T>
concept KubeObject = std::default_initializable<T> && std::movable<T> &&
                     requires(const T& object, T& changed, std::string text) {
                       { object.ns } -> std::convertible_to<std::string_view>;
                       { object.name } -> std::convertible_to<std::string_view>;
                       { object.uid } -> std::convertible_to<std::string_view>;
                       { object.resource_version } -> std::convertible_to<std::string_view>;
                       changed.ns = text;
                       changed.name = text;
                       changed.uid = text;
                     };

template <class T>
concept DomCodec = requires(const nlohmann::json& document) {
  { T::from_json(document) } -> std::same_as<typename T::Object>;
};

template <class T>
concept SaxCodec = requires(typename T::Sax sax, std::string& text, std::int64_t integer, bool boolean) {
  sax.start_object();
  sax.end_object();
  sax.start_array();
  sax.end_array();
  sax.key(text);
  sax.string(text);
  sax.integer(integer);
  sax.boolean(boolean);
  sax.null();
  { sax.take() } -> std::same_as<typename T::Object>;
};

template <class T>
concept ProtobufCodec = requires(std::string_view message) {
  { T::from_protobuf(message) } -> std::same_as<std::optional<typename T::Object>>;
};

template <class T>
concept ObjectCodec = KubeObject<typename T::Object> && (DomCodec<T> || SaxCodec<T>);

}  // namespace poolwarden::kube

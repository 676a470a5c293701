// Where the JSON of one Kubernetes object goes while it is parsed, token by token.
//
// A list page and a watch line wrap objects in an envelope. The envelope's reader (watch_decoder.cpp) hands
// the tokens of each object inside it to a JsonSink. So one page is never a document in memory, and what
// becomes of an object is its codec's business.
#pragma once

#include "kube/codec.h"

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include <nlohmann/json_fwd.hpp>

namespace poolwarden::kube {

// Tokens come in the order of the text and are well nested, but may stop anywhere: begin() then starts
// over. Strings may be moved from; nothing may throw.
class JsonSink {
 public:
  virtual ~JsonSink() = default;
  virtual void begin() = 0;  // an object starts: its own start_object() follows
  virtual void done() = 0;   // its end_object() has come
  virtual void start_object() = 0;
  virtual void end_object() = 0;
  virtual void start_array() = 0;
  virtual void end_array() = 0;
  virtual void key(std::string& name) = 0;
  virtual void string(std::string& value) = 0;
  virtual void integer(std::int64_t value) = 0;
  virtual void real(double value) = 0;  // fractions, and integers that no int64 can hold
  virtual void boolean(bool value) = 0;
  virtual void null() = 0;
};

// Builds the document of one object, for codecs that read from one.
class DomBuilder {
 public:
  DomBuilder();
  ~DomBuilder();
  DomBuilder(const DomBuilder&) = delete;
  DomBuilder& operator=(const DomBuilder&) = delete;

  void clear();
  const nlohmann::json& document() const { return *root_; }

  void start(bool is_object);
  void end() { open_.pop_back(); }
  void key(std::string& name) { key_ = std::move(name); }
  void string(std::string& value);
  void integer(std::int64_t value);
  void real(double value);
  void boolean(bool value);
  void null();

 private:
  nlohmann::json& add(nlohmann::json value);

  std::unique_ptr<nlohmann::json> root_;
  std::vector<nlohmann::json*> open_;
  std::string key_;
};

// A codec that names a Sax class reads tokens; any other reads the document (codec.h).
template <ObjectCodec Codec>
class CodecSink : public JsonSink {
 public:
  using Object = typename Codec::Object;

  Object take() { return Codec::from_json(dom_.document()); }

  void begin() override { dom_.clear(); }
  void done() override {}
  void start_object() override { dom_.start(true); }
  void end_object() override { dom_.end(); }
  void start_array() override { dom_.start(false); }
  void end_array() override { dom_.end(); }
  void key(std::string& name) override { dom_.key(name); }
  void string(std::string& value) override { dom_.string(value); }
  void integer(std::int64_t value) override { dom_.integer(value); }
  void real(double value) override { dom_.real(value); }
  void boolean(bool value) override { dom_.boolean(value); }
  void null() override { dom_.null(); }

 private:
  DomBuilder dom_;
};

template <ObjectCodec Codec>
  requires SaxCodec<Codec>
class CodecSink<Codec> : public JsonSink {
 public:
  using Object = typename Codec::Object;

  Object take() { return sax_->take(); }

  // A new reader each time: the object before may have been cut in its middle.
  void begin() override { sax_.emplace(); }
  void done() override {}
  void start_object() override { sax_->start_object(); }
  void end_object() override { sax_->end_object(); }
  void start_array() override { sax_->start_array(); }
  void end_array() override { sax_->end_array(); }
  void key(std::string& name) override { sax_->key(name); }
  void string(std::string& value) override { sax_->string(value); }
  void integer(std::int64_t value) override { sax_->integer(value); }
  void real(double) override { sax_->null(); }  // no field that is kept is one; it still takes a place
  void boolean(bool value) override { sax_->boolean(value); }
  void null() override { sax_->null(); }

 private:
  std::optional<typename Codec::Sax> sax_;
};

}  // namespace poolwarden::kube

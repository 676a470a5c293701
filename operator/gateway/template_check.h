// What is wrong with a template, before the library sees it: which ignores what it does not know, says where
// only by a byte, and goes as deep as it is told to. Pure; any thread.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>

#include <tl/expected.hpp>

namespace poolwarden::gateway {

struct TemplateShape {
  // The most text that one turn of one section has, sections within it apart.
  std::size_t longest_section = 0;
};

// The error is for a person: "line 3: ...".
tl::expected<TemplateShape, std::string> check_template(std::string_view text, std::size_t max_depth);

}  // namespace poolwarden::gateway

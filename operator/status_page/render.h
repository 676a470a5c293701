// The status page as one HTML document: no script, nothing from elsewhere.
//
// It answers in this order: are requests safe, which endpoints are there, what drains, who follows the lists,
// who leads. Pure: the same page gives the same bytes. Whatever is in its texts, they are texts.
#pragma once

#include "status_page/model.h"

#include <string>

namespace poolwarden::status_page {

std::string render(const StatusPage& page);

}  // namespace poolwarden::status_page

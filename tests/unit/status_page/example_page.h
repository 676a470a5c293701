// A page as a cluster in use would have it: something of everything, and trouble in one pool.
#pragma once

#include "status_page/model.h"

namespace poolwarden::status_page {

StatusPage example_page();

}  // namespace poolwarden::status_page

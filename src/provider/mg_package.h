/*
 * mg_package.h: what the name of a client library says of a provider.
 *
 * models.dev names for each provider the npm package that its clients use;
 * the package tells the protocol.
 *
 * Any thread; never blocks; constant.
 */

#ifndef MG_PACKAGE_H
#define MG_PACKAGE_H

#include "model/mg_catalog.h"


/*
 * The protocol of a provider by its id and npm, {NULL, 0} if the package
 * speaks one of its own.
 */
mg_str_t mg_package_protocol(const mg_provider_t *p);


#endif /* MG_PACKAGE_H */

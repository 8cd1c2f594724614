#!/usr/bin/perl

# Indexes of the catalog, on 100,000 generated models: each is used by the query
# that it is for.  If this breaks, a question that took a millisecond reads the
# whole table, or every sync pays for an index that nothing uses.

use v5.28;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";
use Test::More;

use JSON::PP;
use Services;

plan skip_all => 'no nginx is asked here' if $ENV{TEST_NGINX_SAN};

my $models = 100_000;
my $name = "indexes_$$";
my $conninfo = Services::create_database($name);

sub sql { Services::query($conninfo, @_) }


# 500 providers; names of words, so that a trigram tells something

sql(<<"END");
set synchronous_commit = off;

insert into model.providers (id, name, source)
    select 'p' || p, 'Provider ' || p, 'models.dev'
    from generate_series(1, 500) p;

insert into model.models_metadata (id, provider_id, provider_model_id, name,
        family, health_status, model_type, active, context_length,
        price_input, benchmark_score, modalities_input, modalities_output,
        tags, source, refreshed_at)
    select 'p' || p || '/m' || n, 'p' || p, 'm' || n,
        md5(n::text) || ' ' || left(md5((n / 7)::text), 8),
        'family-' || n % 1000,
        case when n % 997 = 0 then 'unavailable' else 'available' end, 'chat',
        n % 10 <> 0, n, n, case when n % 3 = 0 then n end,
        case when n % 500 = 0 then '["image", "text"]' else '["text"]'
        end::jsonb, '["text"]',
        case when n % 1000 = 0 then '["rare"]' else '["common"]' end::jsonb,
        'models.dev', now() - n * interval '1 minute'
    from (select n, n % 500 + 1 as p from generate_series(1, $models) n) x;

insert into model.model_sources (id, source, rank, provider_id, active)
    select id, case when provider_id = 'p7' then 'openai' else 'models.dev'
        end, 20, provider_id, true
    from model.models_metadata;

insert into model.model_benchmarks (model_id, name, score, source)
    select id, 'Test ' || context_length % 50, context_length % 101, 'list'
    from model.models_metadata;

insert into model.models_refresh_history (source, provider_id, status,
                                          started_at)
    select 'source ' || n % 200, case when n % 2 = 0 then 'p' || n end,
        'completed', now() - n * interval '1 minute'
    from generate_series(1, 20000) n;

vacuum analyze model.providers;
vacuum analyze model.models_metadata;
vacuum analyze model.model_sources;
vacuum analyze model.model_benchmarks;
vacuum analyze model.models_refresh_history;
END

is((sql('select count(*) from model.models_metadata'))[0][0], $models,
   'the models are there');


# table, index without the table's name, query

my $metadata = 'select id from model.models_metadata where';
my $uuid = '00000000-0000-0000-0000-000000000001';
my $org = "org_id = '$uuid'";

my @queries = (
    ['models_metadata', 'provider_active',
     "$metadata provider_id = 'p77' and active and $org"],
    ['models_metadata', 'pkey', "$metadata id = 'p78/m77' and $org"],
    ['models_metadata', 'provider_model',
     "$metadata provider_model_id = 'm77' and provider_id = 'p78'
      and $org"],
    ['models_metadata', 'health_active',
     "$metadata health_status = 'unavailable' and active"],
    ['models_metadata', 'name_trgm', "$metadata name ilike '%9ef7f5e%'"],
    ['models_metadata', 'name',
     "$metadata name = 'c4ca4238a0b923820dcc509a6f75849b cfcd2084'"],
    ['models_metadata', 'name', 'select id, name from model.models_metadata
                                 order by name limit 50'],
    ['models_metadata', 'modality_active',
     "$metadata modality = 'image+text->text' and active"],
    ['models_metadata', 'tags', "$metadata tags @> '[\"rare\"]'"],
    ['models_metadata', 'refreshed',
     "$metadata refreshed_at > now() - interval '1 hour'"],
    ['models_metadata', 'family', "$metadata family = 'family-7'"],
    ['models_metadata', 'benchmark_score',
     'select id from model.models_metadata
      order by benchmark_score desc nulls last limit 50'],
    ['models_metadata', 'benchmark_score',
     "$metadata benchmark_score >= 99990 and active"],

    ['model_sources', 'pkey',
     "select * from model.model_sources where id = 'p78/m77' and $org
      order by id, org_id, rank, source"],
    ['model_sources', 'source',
     "select id from model.model_sources where source = 'openai'
      and provider_id = 'p7' and $org and active is not false"],

    ['model_benchmarks', 'same',
     "select * from model.model_benchmarks where model_id = 'p78/m77'
      and $org"],
    ['model_benchmarks', 'score',
     "select model_id, score from model.model_benchmarks
      where name = 'Test 7' order by score desc limit 10"],
    ['model_benchmarks', 'pkey',
     "select * from model.model_benchmarks where id = '$uuid'"],

    ['models_refresh_history', 'started',
     'select * from model.models_refresh_history
      order by started_at desc limit 10'],
    ['models_refresh_history', 'source',
     "select * from model.models_refresh_history where source = 'source 6'
      and provider_id = 'p206' order by started_at desc limit 1"],
    ['models_refresh_history', 'pkey',
     "select * from model.models_refresh_history where id = '$uuid'"],
);


# the names of all indexes in a plan

sub indexes {
    my ($node) = @_;

    return (grep { defined } $node->{'Index Name'},
            map { indexes($_) } @{$node->{Plans} // []});
}

my %used;

for (@queries) {
    my ($table, $index, $query) = @$_;

    my ($row) = sql("explain (format json) $query");
    my $plan = decode_json($row->[0])->[0]{Plan};
    my @names = indexes($plan);

    ok(grep({ $_ eq "${table}_$index" } @names), "${table}_$index: "
       . substr($query =~ s/\s+/ /gr, 0, 90)) or diag(explain($plan));
    $used{"${table}_$index"} = 1;
}


# and there is none of which nothing is known here

my @all = map { $_->[0] } sql("select indexname from pg_indexes
    where schemaname = 'model' and tablename in ('models_metadata',
    'model_sources', 'model_benchmarks', 'models_refresh_history')
    order by 1");

is_deeply([grep { !$used{$_} } @all], [], 'no index without its query');

Services::drop_database($name);
done_testing();

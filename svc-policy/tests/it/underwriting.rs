//! Proposals before an underwriter, from outside: the queue, questions and answers, terms, refusals, and what they do to price
//! and cover.

use std::time::Duration;

use caremesh_proto::policy::v1::underwriting_service_client::UnderwritingServiceClient;
use caremesh_proto::policy::v1::*;
use caremesh_proto::r#type::v1 as types;
use caremesh_testkit::for_each_database;
use caremesh_testkit::identity::TestPerson;
use caremesh_testkit::insured::{Wanted, money};
use caremesh_testkit::mesh::CallerChannel;

use crate::common::*;
use crate::life::{DAY, minor, on, payable, share};

const SUM: i64 = 500_000_000;

fn icd(code: &str) -> types::Coding {
    let system = "http://hl7.org/fhir/sid/icd-10".to_owned();
    types::Coding { system, code: code.to_owned(), display: String::new() }
}

impl World {
    fn underwriting(&self, who: &TestPerson) -> UnderwritingServiceClient<CallerChannel> {
        UnderwritingServiceClient::new(self.person(who))
    }

    /// A quote for a couple, the spouse with heart disease.
    async fn to_be_looked_at(&self, holder: &TestPerson, declared: &str) -> Quote {
        let wanted = Wanted {
            plan: "NG-FAMILY-PLUS",
            sum_insured: money("NGN", SUM),
            starts: self.today().plus_days(3),
            holder: (1990, 5, 17),
            others: &[((1991, 2, 3), Relation::Spouse)],
        };
        let mut asked = self.insurer().offer_request(holder, &wanted).await.expect("a request");
        asked.members[1].declared_conditions = vec![icd(declared)];
        let quote = self.policies(holder).create_quote(asked).await.expect("a quote").into_inner().quote;
        quote.expect("a quote")
    }

    async fn submitted(&self, holder: &TestPerson, quote: &Quote) -> Proposal {
        let asked = SubmitProposalRequest { request_id: request_id(), quote_id: quote.quote_id.clone() };
        let answer = self.underwriting(holder).submit_proposal(asked).await.expect("a proposal").into_inner();
        answer.proposal.expect("a proposal")
    }
}

fn claim(proposal: &Proposal) -> ClaimProposalRequest {
    ClaimProposalRequest { request_id: request_id(), proposal_id: proposal.proposal_id.clone() }
}

fn ask(proposal: &Proposal) -> AskProposerRequest {
    let (request_id, proposal_id) = (request_id(), proposal.proposal_id.clone());
    AskProposerRequest { request_id, proposal_id, text: "Since when, and what is taken for it?".to_owned() }
}

fn answer(proposal: &Proposal) -> AnswerUnderwriterRequest {
    let (request_id, proposal_id) = (request_id(), proposal.proposal_id.clone());
    AnswerUnderwriterRequest { request_id, proposal_id, text: "Since 2019; nothing.".to_owned() }
}

fn decide(proposal: &Proposal, terms: Vec<UnderwritingTerms>) -> DecideProposalRequest {
    DecideProposalRequest {
        request_id: request_id(),
        proposal_id: proposal.proposal_id.clone(),
        decision: ProposalDecision::Accept.into(),
        terms,
        decline_reason_codes: Vec::new(),
    }
}

fn decline(proposal: &Proposal) -> DecideProposalRequest {
    DecideProposalRequest {
        decision: ProposalDecision::Decline.into(),
        decline_reason_codes: vec!["RISK_TOO_HIGH".to_owned()],
        ..decide(proposal, Vec::new())
    }
}

fn reply(proposal: &Proposal, agrees: bool) -> ReplyToTermsRequest {
    ReplyToTermsRequest { request_id: request_id(), proposal_id: proposal.proposal_id.clone(), agrees }
}

for_each_database! { with world;
    async fn a_proposal_is_asked_about_loaded_and_bought_at_the_premium_of_its_terms(world: World) {
        let (holder, officer, other) = (somebody(), staff("underwriter"), staff("underwriter"));
        let quote = world.to_be_looked_at(&holder, "I25").await;
        assert!(quote.needs_review);
        let buy = PurchasePolicyRequest { request_id: request_id(), quote_id: quote.quote_id.clone() };
        assert_eq!(refused(world.policies(&holder).purchase_policy(buy.clone()).await), "PROPOSAL_NOT_ACCEPTED");
        let early = world.policies(&staff("finance_officer")).record_premium_payment(world.payment(&quote)).await;
        assert_eq!(refused(early), "PROPOSAL_NOT_ACCEPTED", "INV-P6");
        let proposal = world.submitted(&holder, &quote).await;
        assert_eq!(proposal.state(), ProposalState::Proposed);
        let mut desk = world.underwriting(&officer);
        let queue = ListProposalsRequest { in_state: ProposalState::Proposed.into(), page: None };
        let waiting = desk.list_proposals(queue).await.expect("the queue").into_inner().proposals;
        assert!(waiting.iter().any(|one| one.proposal_id == proposal.proposal_id));
        let claimed = desk.claim_proposal(claim(&proposal)).await.expect("claimed").into_inner().proposal.expect("it");
        assert_eq!((claimed.state(), claimed.claimed), (ProposalState::UnderReview, true));
        let another = world.underwriting(&other).ask_proposer(ask(&proposal)).await;
        assert_eq!(refused(another), "PROPOSAL_STATE_FORBIDS", "another has claimed it");
        desk.ask_proposer(ask(&proposal)).await.expect("asked");
        let mut proposer = world.underwriting(&holder);
        let answered = proposer.answer_underwriter(answer(&proposal)).await.expect("answered").into_inner().proposal.expect("it");
        let said: Vec<bool> = answered.messages.iter().map(|one| one.from_underwriter).collect();
        assert_eq!((answered.state(), said), (ProposalState::UnderReview, vec![true, false]));
        let spouse = quote.members[1].person_id.clone();
        let terms = UnderwritingTerms { person_id: spouse, load_bps: 2_500, excluded_codes: vec!["I2".to_owned()], excluded_months: 12 };
        let asked = decide(&proposal, vec![terms]);
        let offered = desk.decide_proposal(asked.clone()).await.expect("terms").into_inner().proposal.expect("it");
        assert_eq!(offered.state(), ProposalState::TermsOffered);
        assert_eq!(desk.decide_proposal(asked).await.expect("again").into_inner().proposal, Some(offered), "once per request");
        assert_eq!(refused(world.policies(&holder).purchase_policy(buy.clone()).await), "PROPOSAL_NOT_ACCEPTED", "nobody has agreed");
        let agreed = proposer.reply_to_terms(reply(&proposal, true)).await.expect("agreed").into_inner().proposal.expect("it");
        assert_eq!(agreed.state(), ProposalState::Accepted);
        let got = proposer.get_proposal(GetProposalRequest { proposal_id: proposal.proposal_id.clone() }).await.expect("it");
        assert_eq!(got.into_inner().proposal, Some(agreed));
        let asked = GetQuoteRequest { quote_id: quote.quote_id.clone() };
        let loaded = world.policies(&holder).get_quote(asked).await.expect("the quote").into_inner().quote.expect("the quote");
        let gross = |quote: &Quote, n: usize| minor(quote.premium.as_ref().expect("a premium").members[n].gross.as_ref());
        assert_eq!(gross(&loaded, 1), share(gross(&quote, 1), 12_500, 10_000), "a quarter more for the spouse");
        assert_eq!(gross(&loaded, 0), gross(&quote, 0));
        let policy = world.policies(&holder).purchase_policy(buy).await.expect("a policy").into_inner().policy.expect("a policy");
        world.policies(&staff("finance_officer")).record_premium_payment(world.payment(&loaded)).await.expect("a receipt");
        // The exclusion is the spouse's, for its conditions and its months; others and other things are covered.
        world.clock.advance(60 * DAY);
        let ill = |member: usize, code: &str| {
            let mut asked = on(admission(&world, &policy.members[member].member_id, 10_000_00), world.today());
            let event = asked.event.as_mut().expect("an event");
            (event.accident, event.conditions) = (false, vec![icd(code)]);
            asked
        };
        assert_eq!(payable(&world.price(&ill(1, "I21")).await), 0);
        assert_eq!(payable(&world.price(&ill(1, "J18")).await), 10_000_00);
        assert_eq!(payable(&world.price(&ill(0, "I21")).await), 10_000_00);
    }

    async fn what_is_declined_or_taken_back_is_not_bought_and_nothing_happens_twice(world: World) {
        let (holder, officer) = (somebody(), staff("underwriter"));
        let mut desk = world.underwriting(&officer);
        let mut proposer = world.underwriting(&holder);
        let quote = world.to_be_looked_at(&holder, "C50").await;
        let proposal = world.submitted(&holder, &quote).await;
        let again = SubmitProposalRequest { request_id: request_id(), quote_id: quote.quote_id.clone() };
        assert_eq!(refused(proposer.submit_proposal(again.clone()).await), "PROPOSAL_STATE_FORBIDS");
        assert_eq!(refused(desk.decide_proposal(decline(&proposal)).await), "PROPOSAL_STATE_FORBIDS", "unclaimed");
        assert_eq!(refused(desk.ask_proposer(ask(&proposal)).await), "PROPOSAL_STATE_FORBIDS");
        assert_eq!(refused(proposer.answer_underwriter(answer(&proposal)).await), "PROPOSAL_STATE_FORBIDS", "nothing was asked");
        assert_eq!(refused(proposer.reply_to_terms(reply(&proposal, true)).await), "PROPOSAL_STATE_FORBIDS", "no terms");
        desk.claim_proposal(claim(&proposal)).await.expect("claimed");
        assert_eq!(refused(desk.claim_proposal(claim(&proposal)).await), "PROPOSAL_STATE_FORBIDS");
        let silent = DecideProposalRequest { decline_reason_codes: Vec::new(), ..decline(&proposal) };
        assert_eq!(refused(desk.decide_proposal(silent).await), "FIELD_INVALID", "a refusal has reasons");
        let stranger = UnderwritingTerms { person_id: nobody_id("per"), load_bps: 1, ..UnderwritingTerms::default() };
        assert_eq!(refused(desk.decide_proposal(decide(&proposal, vec![stranger])).await), "FIELD_INVALID");
        let declined = desk.decide_proposal(decline(&proposal)).await.expect("declined").into_inner().proposal.expect("it");
        assert_eq!((declined.state(), declined.decline_reason_codes.len()), (ProposalState::Declined, 1));
        let buy = PurchasePolicyRequest { request_id: request_id(), quote_id: quote.quote_id.clone() };
        assert_eq!(refused(world.policies(&holder).purchase_policy(buy).await), "PROPOSAL_NOT_ACCEPTED");
        // Accepted as it is, by one of two who decide at once.
        let second = somebody();
        let quote = world.to_be_looked_at(&second, "C50").await;
        let proposal = world.submitted(&second, &quote).await;
        desk.claim_proposal(claim(&proposal)).await.expect("claimed");
        let mut twin = world.underwriting(&officer);
        let mut theirs = world.underwriting(&second);
        let (accepted, taken_back) = tokio::join!(
            twin.decide_proposal(decide(&proposal, Vec::new())),
            theirs.reply_to_terms(reply(&proposal, false)),
        );
        assert!(accepted.is_ok() != taken_back.is_ok(), "one outcome");
        let foreign = world.underwriting(&holder).get_proposal(GetProposalRequest { proposal_id: proposal.proposal_id.clone() }).await;
        assert_eq!(refused(foreign), "RESOURCE_NOT_FOUND");
        // What nobody need look at is not submitted; what has expired or was bought neither.
        let healthy = world.to_be_looked_at(&somebody(), "J30").await;
        assert!(!healthy.needs_review);
        let third = somebody();
        let plain = world.to_be_looked_at(&third, "J30").await;
        let asked = SubmitProposalRequest { request_id: request_id(), quote_id: plain.quote_id.clone() };
        assert_eq!(refused(world.underwriting(&third).submit_proposal(asked).await), "PROPOSAL_STATE_FORBIDS");
        let buy = PurchasePolicyRequest { request_id: request_id(), quote_id: plain.quote_id.clone() };
        world.policies(&third).purchase_policy(buy).await.expect("a policy");
        let asked = SubmitProposalRequest { request_id: request_id(), quote_id: plain.quote_id };
        assert_eq!(refused(world.underwriting(&third).submit_proposal(asked).await), "QUOTE_ALREADY_PURCHASED");
        let fourth = somebody();
        let late = world.to_be_looked_at(&fourth, "C50").await;
        world.clock.advance(Duration::from_secs(5 * 24 * 3_600));
        let asked = SubmitProposalRequest { request_id: request_id(), quote_id: late.quote_id };
        assert_eq!(refused(world.underwriting(&fourth).submit_proposal(asked).await), "QUOTE_EXPIRED");
    }
}
